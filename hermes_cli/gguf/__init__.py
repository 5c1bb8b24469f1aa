"""What a model file says of itself, read without loading it."""
