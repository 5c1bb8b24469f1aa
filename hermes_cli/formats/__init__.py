"""Writing conversations for a model, and parsing its calls."""
