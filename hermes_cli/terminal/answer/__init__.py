"""Where an answer is written: terminal, pipe or file."""
