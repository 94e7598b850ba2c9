"""Exit codes beyond 0 (done), 1 (failed) and 2 (wrong usage)."""

UNFINISHED = 3
"""The budget was used up before the work was done; the same command goes on."""

REFUSED = 4
"""The gates refused the candidate; the version that was current still is."""

INTERRUPTED = 130
"""After Ctrl-C, as of any program."""

TERMINATED = 143
"""After SIGTERM, as of any program."""
