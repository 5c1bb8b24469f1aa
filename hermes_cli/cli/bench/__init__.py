"""`hermes bench`."""
