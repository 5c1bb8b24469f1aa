"""How a conversation is written for a model, and how its calls are read back."""
