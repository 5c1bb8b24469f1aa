"""The help pages that are not a command's own."""
