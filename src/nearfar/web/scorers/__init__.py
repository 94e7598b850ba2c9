"""What the service asks for recommendations, one runtime a file."""
