"""The command line: parses, calls, prints. What it prints was decided elsewhere."""
