"""`hermes test`."""
