"""How a history is corrupted in training, and how it is presented when it is not."""
