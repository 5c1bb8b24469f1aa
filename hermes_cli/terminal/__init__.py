"""How it looks: everything that is drawn on or read from a terminal."""
