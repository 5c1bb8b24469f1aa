"""Where the user types: a line editor on a terminal, plain lines elsewhere."""
