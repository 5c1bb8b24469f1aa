"""The terminal: everything that is drawn on it or read from it."""
