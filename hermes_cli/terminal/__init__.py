"""How it looks and is typed: everything between the program and the terminal."""
