"""Text that goes with a prompt: from files, folders, patterns, web pages, documents and commands."""
