"""The version of the tool, readable without asking the packaging metadata (which costs 30 ms)."""

VERSION = "0.1.0"
