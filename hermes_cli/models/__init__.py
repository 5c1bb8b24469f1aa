"""Which weights: finding a GGUF by name or path; the bundled demo model."""
