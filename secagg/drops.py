"""Which clients vanish, and when: a plan that names them or only counts them."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from numpy.random import Generator

from secagg.limits import ParameterError

PHASES = ("advertise", "shares", "masked-input", "consistency", "unmask")
"""Where a client may vanish: just before it would send the message of this phase, and for good.

A round without consistency check has no message `consistency`; who vanishes there is missing from `unmask` on.
"""
_FORM = "PHASE=COUNT or PHASE=ID,ID, PHASE one of " + ", ".join(PHASES)


@dataclass(frozen=True)
class DropPlan:
    """Clients that vanish, by phase: some by id, more by number, the latter drawn when a round begins."""

    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Phase to ids."""
    counted: Mapping[str, int] = field(default_factory=dict)
    """Phase to a number of further clients."""

    def __post_init__(self) -> None:
        for phase in (*self.named, *self.counted):
            if phase not in PHASES:
                raise ParameterError("drop", phase, _FORM)
        for one, times in Counter(one for ids in self.named.values() for one in ids).items():
            if times > 1:
                raise ParameterError("drop", one, "each client once: it vanishes for good")
        for count in self.counted.values():
            if count < 0:
                raise ParameterError("drop", count, "a number of clients from 0")

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "DropPlan":
        """Return the plan of texts such as `shares=2` or `masked-input=c00001,c00004`; a phase may come repeatedly.

        Raises:
            ParameterError: a text of another form.
        """
        named: dict[str, tuple[str, ...]] = {}
        counted: dict[str, int] = {}
        for text in texts:
            phase, equals, whom = text.partition("=")
            if not equals or phase not in PHASES or not whom:
                raise ParameterError("drop", text, _FORM)
            if re.fullmatch(r"[0-9]{1,9}", whom):
                counted[phase] = counted.get(phase, 0) + int(whom)
            else:
                named[phase] = (*named.get(phase, ()), *whom.split(","))
        return cls(named, counted)

    @property
    def is_empty(self) -> bool:
        """Whether nobody vanishes."""
        return not any(self.named.values()) and not any(self.counted.values())

    def resolve(self, clients: Sequence[str], rng: Generator) -> dict[str, str]:
        """Return client to phase for all who vanish.

        The counted ones are drawn from the clients that are not named, without return, phases in protocol order.

        Args:
            clients: the cohort.
            rng: what decides who the counted ones are.

        Raises:
            ParameterError: a name outside the cohort, or more drop-outs than clients.
        """
        falls = {one: phase for phase, ids in self.named.items() for one in ids}
        cohort = set(clients)
        for one in falls:
            if one not in cohort:
                raise ParameterError("drop", one, f"ids of the cohort, {clients[0]} to {clients[-1]}")
        left = sorted(cohort - falls.keys())
        if sum(self.counted.values()) > len(left):
            total = sum(self.counted.values()) + len(falls)
            raise ParameterError("drop", total, f"at most {len(clients)} drop-outs, the size of the cohort")
        drawn = iter(rng.permutation(len(left)))
        for phase in PHASES:
            for _ in range(self.counted.get(phase, 0)):
                falls[left[next(drawn)]] = phase
        return falls
