"""From a log to training users and held-out users: one file a protocol."""
