"""Which values a round can have at all. A value outside is a slip of the caller's, told by name, value and range."""

import math

MOST_CLIENTS = 10**6
"""The largest cohort for which the published rule is tested, and the largest accepted here."""


class ParameterError(ValueError):
    """A value that no round can have: `name`, `value`, and what is `allowed`."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        super().__init__(name, value, allowed)
        self.name, self.value, self.allowed = name, value, allowed

    def __str__(self) -> str:
        return f"{self.name} is {self.value!r}; allowed is {self.allowed}"


def require_whole(name: str, value: int, low: int, high: int) -> None:
    """Refuse what is not an integer from `low` to `high`."""
    if not _is_whole(value) or not low <= value <= high:
        raise ParameterError(name, value, f"a whole number from {low} to {high}")


def require_fraction(name: str, value: float) -> None:
    """Refuse what is not a number in [0, 1); NaN is none."""
    if not _is_number(value) or not 0 <= value < 1:
        raise ParameterError(name, value, "a fraction from 0 to below 1")


def require_bits(name: str, value: float) -> None:
    """Refuse what is not a finite number above 0."""
    if not _is_number(value) or not 0 < value < math.inf:
        raise ParameterError(name, value, "a finite number of bits above 0")


def require_word(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse what is not one of the `allowed` words."""
    if value not in allowed:
        raise ParameterError(name, value, " or ".join(allowed))


def require_degree(clients: int, degree: int) -> None:
    """Refuse what is no degree of a ring (even: as many neighbours on either side) nor that of the complete graph."""
    complete = clients - 1
    if not _is_whole(degree) or not 1 <= degree <= complete or (degree % 2 and degree != complete):
        raise ParameterError("degree", degree, f"an even number from 2 to {complete - 1}, or {complete} (all others)")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
