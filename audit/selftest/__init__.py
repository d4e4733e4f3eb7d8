"""The auditor audited: known flaws are planted, each beside its sound twin, and the audit has to tell them apart.

zoo of flaws ─▶ workshop builds flaw and twin ─▶ the audit ─▶ matrix: caught, missed, false alarm, undecided
"""
