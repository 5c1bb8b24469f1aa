"""System-prompt presets, the bundled ones and the user's own."""
