"""One page on fitted models: how good they are, why, and how to make them again."""
