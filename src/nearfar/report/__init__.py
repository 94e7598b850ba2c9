"""A report page on fitted models: quality, diagnostics, and how to reproduce them."""
