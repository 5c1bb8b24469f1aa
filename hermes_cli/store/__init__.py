"""What is kept: sessions, presets, settings."""
