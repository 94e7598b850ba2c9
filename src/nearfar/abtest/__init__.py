"""A/B tests of recommendations: who is in which arm, how long to run, checks, uplift."""
