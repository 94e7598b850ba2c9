"""Self-contained HTML pages, which need no network: layout, tables and charts."""
