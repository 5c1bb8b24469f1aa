"""Attachments: text from files, folders, patterns, web pages, documents and commands."""
