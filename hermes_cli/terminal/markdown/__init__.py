"""Markdown rendered while it streams."""
