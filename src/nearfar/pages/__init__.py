"""Pages of one HTML file that need no network: their shell, tables and charts."""
