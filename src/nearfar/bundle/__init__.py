"""Saved models (bundles): save, load, export, and recommend from them."""
