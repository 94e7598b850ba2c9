"""Autopilot: the best model of all families for a log, found on held-out users within a budget."""
