"""The terms of the objective (Eq. 8), one a file: what is known of a step -> a loss a user."""
