"""The operations of the service, one file per group of paths."""
