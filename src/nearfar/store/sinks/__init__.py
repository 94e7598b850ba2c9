"""Where recommendations go: one file per kind of sink, found by its name."""
