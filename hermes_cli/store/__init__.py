"""Saved data: sessions, presets, settings."""
