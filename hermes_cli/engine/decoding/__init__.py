"""Decoding: one generation, token by token."""
