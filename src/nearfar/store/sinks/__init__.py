"""Where recommendations go: one file a kind of sink, found by its name."""
