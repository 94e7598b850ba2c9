"""The terms of the objective (Eq. 8), one per file: what is known of a step -> a loss per user."""
