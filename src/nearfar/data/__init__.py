"""From an interaction log to sparse matrices: sources, filters, time window, splits."""
