"""`hermes ask --map`."""
