"""The statements of the paper as functions: what they bound, measured and predicted."""
