"""What is measured against the peers: nearfar in several settings, and the floor."""
