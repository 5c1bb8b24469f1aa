"""How it is launched: one module per command."""
