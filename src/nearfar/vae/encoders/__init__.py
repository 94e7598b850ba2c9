"""From a history to its posterior: one encoder a file."""
