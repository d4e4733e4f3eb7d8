"""Secure aggregation: its parameters, and what they buy."""
