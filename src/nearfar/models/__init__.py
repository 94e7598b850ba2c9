"""The few kinds of fitted model: constant, item-item, factors, autoencoder."""
