"""Likelihoods p(x|z): one per file."""
