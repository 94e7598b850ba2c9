"""Where events come from and recommendations go: Parquet, CSV, SQL; checked at the edge."""
