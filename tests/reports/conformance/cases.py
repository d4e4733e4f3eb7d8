"""The conformance cases: what is done to the sound world, why, and the code that must answer (empty: accepted)."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.reports.conformance.world import World

Tamper = Callable[[World], object]


@dataclass(frozen=True)
class Case:
    """One thing done to the sound world."""

    name: str
    """Of its folder; ends in `_fail` where verifying must refuse."""
    why: str
    """One sentence."""
    code: str
    """Of the refusal; empty where there is none."""
    tamper: Tamper
    """Does it, in place."""


CASES: list[Case] = []
"""All of them, as the modules beside this one register them."""


def case(name: str, code: str, why: str) -> Callable[[Tamper], Tamper]:
    """Register a case under a function that tampers with the world."""

    def register(tamper: Tamper) -> Tamper:
        add(name, code, why, tamper)
        return tamper

    return register


def add(name: str, code: str, why: str, tamper: Tamper) -> None:
    """Register a case; a name twice is a mistake."""
    full = f"{name}_fail" if code else name
    if any(known.name == full for known in CASES):
        raise ValueError(f"two cases are named {full}")
    CASES.append(Case(full, why, code, tamper))
