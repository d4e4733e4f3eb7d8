"""What a round without malice may end with."""

CURIOUS, MALICIOUS = "honest-but-curious", "malicious"
REASONS = {
    "too-few-clients",
    "too-few-survivors",
    "insufficient-shares",
    "too-few-neighbours",
    "phase-order",
}
"""The reasons of an abort."""
