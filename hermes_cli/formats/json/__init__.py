"""JSON mode: schemas, their short form, and the check of an answer."""
