"""Projections from the latent space to the plane, one per file."""
