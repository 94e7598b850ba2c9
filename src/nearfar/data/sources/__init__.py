"""Where logs come from: one file a data set or format, found by its name."""
