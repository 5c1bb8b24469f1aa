"""The OpenAI protocol: requests and answers as pure functions."""
