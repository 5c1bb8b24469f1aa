"""How programs reach it: the OpenAI-compatible HTTP API of `hermes serve`."""
