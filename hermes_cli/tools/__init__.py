"""What the model may do: tools, approval, results."""
