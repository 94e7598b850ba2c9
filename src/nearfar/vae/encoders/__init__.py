"""Encoders, which map a history to its posterior; one per file."""
