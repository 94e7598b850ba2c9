"""Split a log into training and held-out users: one file per protocol."""
