"""Measurements, one command each; every one prints what it found and writes JSON."""
