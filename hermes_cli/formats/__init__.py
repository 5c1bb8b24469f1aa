"""How conversations are written for the model, as text split into markers and content."""
