"""The paper's tables and figure from one command each: rows, cached cells, reports."""
