"""Sources of events: one file per kind of source, found by its name."""
