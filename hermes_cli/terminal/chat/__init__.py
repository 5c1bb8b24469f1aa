"""The interactive chat: read, answer, slash commands."""
