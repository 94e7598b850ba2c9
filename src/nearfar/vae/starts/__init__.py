"""How a network's weights start: one way per file."""
