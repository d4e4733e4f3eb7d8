"""What was found wrong in one round, in order; bounded, since a hostile record can be wrong without end."""

from collections import Counter

from secagg.violations import NOT_AUTHENTIC, Violation

MOST_PER_CODE = 100
"""Violations of one code that are listed one by one; the rest are counted."""


class Ledger:
    """Collects violations."""

    def __init__(self) -> None:
        self._listed: list[Violation] = []
        self._counts: Counter[str] = Counter()

    def add(self, code: str, phase: str, client: str | None, detail: str) -> None:
        """Note one violation."""
        self._counts[code] += 1
        if self._counts[code] <= MOST_PER_CODE:
            self._listed.append(Violation(code, phase, client, detail))

    @property
    def authentic(self) -> bool:
        """Whether nothing says that the record is not what it seems."""
        return NOT_AUTHENTIC.isdisjoint(self._counts)

    @property
    def violations(self) -> tuple[Violation, ...]:
        """What was noted, and one entry for what was only counted of each code."""
        more = ((code, count - MOST_PER_CODE) for code, count in self._counts.items() if count > MOST_PER_CODE)
        return (*self._listed, *(Violation(code, "", None, f"and {count} more of this kind") for code, count in more))
