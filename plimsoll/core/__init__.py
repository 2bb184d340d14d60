"""Units, ids and errors: pure helpers that every other room may import."""
