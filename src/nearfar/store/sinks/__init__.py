"""Sinks of recommendations: one file per kind of sink, found by its name."""
