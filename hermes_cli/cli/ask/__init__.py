"""`hermes ask`: its prompt, its answer and the form of the answer."""
