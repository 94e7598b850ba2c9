"""Foundations of all rooms: errors, ids, seeds, settings, files, discovery by name."""
