"""How a network's weights start: one way a file."""
