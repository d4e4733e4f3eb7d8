"""Flower (extra `[flower]`): its own secure aggregation put to the test, and ours for it. flwr is imported in use."""
