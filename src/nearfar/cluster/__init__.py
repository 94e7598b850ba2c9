"""Training and scoring on several machines with Ray."""
