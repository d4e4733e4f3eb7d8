"""Three ways to compute the objective of gradient matching, and the rule that chooses one."""
