"""Algorithms: frozen dataclasses of hyper-parameters that fit, one file each."""
