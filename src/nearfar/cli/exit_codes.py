"""Exit codes beyond 0 (done), 1 (failed) and 2 (wrong usage)."""

INTERRUPTED = 130
"""After Ctrl-C, as of any program."""
