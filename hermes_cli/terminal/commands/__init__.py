"""What the slash commands do: each takes the chat and its argument; its docstring is its help."""
