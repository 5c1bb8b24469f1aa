"""Tools that the model can call: approval, calls, results."""
