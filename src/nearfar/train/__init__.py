"""The training loop: steps, validation, stopping, checkpoints and exact resume."""
