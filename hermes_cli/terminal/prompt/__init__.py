"""The input line."""
