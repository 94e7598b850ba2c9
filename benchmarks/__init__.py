"""Benchmarks, one command each; each prints its results and writes them as JSON."""
