"""How it is launched: the command line, one module per command."""
