"""`hermes doctor`."""
