"""Must never be imported: a bundle only names it."""

raise RuntimeError("code that a bundle names was run")
