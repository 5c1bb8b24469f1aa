"""Downloads: the hub, resumable transfers, verification."""
