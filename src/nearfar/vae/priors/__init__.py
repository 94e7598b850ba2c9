"""Priors p(z): one per file."""
