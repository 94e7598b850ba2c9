"""The latent space as a picture: cohorts of users, projections, and numbers beside them."""
