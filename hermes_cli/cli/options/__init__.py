"""The options of `ask` and `chat`, and what they were given."""
