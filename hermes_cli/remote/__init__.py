"""Remote models: any OpenAI-compatible server as a `Backend`."""
