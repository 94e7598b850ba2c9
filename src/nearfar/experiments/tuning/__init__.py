"""Searching settings on validation users: the space, the trials, what was best."""
