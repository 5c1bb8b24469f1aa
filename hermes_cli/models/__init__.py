"""Which weights: the catalog, the files that are here, and what a name means."""
