"""Lists of models and sessions, as tables and JSON."""
