"""Differential privacy: what a declared mechanism gives, and whether the claim follows from it."""
