"""The target that answers: a local model or a server, with its options."""
