"""The paper's objects: rows, corruption, encoders, posterior, priors, decoder, terms, weights."""
