"""Answers drawn as Markdown while they come: finished blocks once, the unfinished one again and again."""
