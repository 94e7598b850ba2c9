"""Sources of events and sinks of recommendations: Parquet, CSV and SQL, with contracts."""
