"""Ways from the latent space to the plane, one a file."""
