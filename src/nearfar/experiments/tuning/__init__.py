"""Hyper-parameter search on validation users: spaces, trials, the best settings."""
