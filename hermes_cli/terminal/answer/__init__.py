"""Writing an answer: to a terminal, pipe or file."""
