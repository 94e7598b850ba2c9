"""Initialisers of a network's weights, one per file."""
