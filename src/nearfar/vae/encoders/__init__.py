"""From a history to its posterior: one encoder per file."""
