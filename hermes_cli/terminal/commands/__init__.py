"""What the slash commands do: each takes the chat and its argument; the first line of its docstring is its help."""
