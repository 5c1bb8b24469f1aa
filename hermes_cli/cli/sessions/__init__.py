"""`hermes sessions`: the saved sessions."""
