"""The saved artefact: a model with its items and its story, and recommending from it."""
