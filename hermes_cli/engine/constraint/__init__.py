"""Constrained decoding: which tokens a schema or a tool call allows next."""
