"""Headers of model files, read without loading the model."""
