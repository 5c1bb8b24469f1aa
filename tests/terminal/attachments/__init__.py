"""Attachments from real files, documents, pages and commands."""
