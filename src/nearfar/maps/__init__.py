"""Maps of the latent space: cohorts of users, projections to the plane, and measures."""
