"""What the model may do: tools from Python files, command lines and the built-in ones, run in child processes."""
