"""What every room needs: errors, ids, seeds, settings, files, discovery by name."""
