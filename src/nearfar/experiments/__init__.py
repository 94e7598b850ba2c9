"""Whole experiments: several algorithms on one split, compared; the demo; its figure."""
