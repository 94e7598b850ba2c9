"""A/B tests of recommendations: assignment to arms, planning, checks and analysis."""
