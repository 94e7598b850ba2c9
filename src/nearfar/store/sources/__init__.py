"""Where events come from: one file per kind of source, found by its name."""
