"""What the service answers, one group of paths a file."""
