"""The weight of a term over the course of training, one schedule per file."""
