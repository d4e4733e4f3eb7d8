"""The questions: what is asked of a system, the run, the attacks, and the command line."""
