"""nearfar: recommendation from implicit feedback with variational autoencoders."""
