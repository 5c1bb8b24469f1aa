"""Models: the catalog, local files, and resolving names."""
