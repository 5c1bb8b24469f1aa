"""Processed prompts, in memory and on disk."""
