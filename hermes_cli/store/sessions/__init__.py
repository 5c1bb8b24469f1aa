"""Session files: format, writer, reader, names, index, export and import."""
