"""Flows: invertible steps from z_0 to z_T."""
