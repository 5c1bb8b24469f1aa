"""The OpenAI-compatible HTTP API of `hermes serve`."""
