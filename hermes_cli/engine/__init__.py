"""Local models: llama.cpp as a `Backend`."""
