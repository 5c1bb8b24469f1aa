"""One chat in progress: choices, opening, turns, summary."""
