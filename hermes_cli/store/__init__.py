"""What is kept: presets, the bundled ones and the user's own."""
