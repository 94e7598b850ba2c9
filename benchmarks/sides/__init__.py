"""The sides that are measured against the peers: nearfar with several settings, and the floor."""
