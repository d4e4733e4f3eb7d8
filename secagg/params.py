"""Degree and threshold of secure aggregation: what given ones are worth, and which to choose.

n clients stand in random order on a ring; each shares its two secrets, t of k, with its k nearest neighbours (k/2 on
each side; k = n - 1 is the complete graph). A round has two levels of safety, and b bits of either mean that it fails
with probability 2^-b at most: *sigma*, that the server learns no more than the sum of all survivors, and *eta*, that
the sum can be unmasked. `assess_parameters` is the one truth (its formulae: `secagg.failures`); `select_parameters`
searches over the same functions (its rules: `secagg.selection`).

Source: Bell et al., "Secure Single-Server Aggregation with (Poly)Logarithmic Overhead", CCS 2020 (eprint 2020/704).
"""

import math
from dataclasses import dataclass

from secagg.failures import HONEST_BUT_CURIOUS, MALICIOUS, Cohort
from secagg.limits import (
    MOST_CLIENTS,
    require_bits,
    require_degree,
    require_fraction,
    require_whole,
    require_word,
)
from secagg.selection import (
    PUBLISHED_LOAD,
    first_true,
    guarded_choice,
    guarded_threshold,
    lowest_on_complete,
    published_choice,
    published_refuses,
)

SIGMA = 40.0
"""Bits of privacy that suffice: the published constant."""
ETA = 20.0
"""Bits of correctness that suffice: the published constant."""
COMPLETE_BELOW = 100
"""Cohorts smaller than this get the complete graph from the guarded rule."""
SERVERS = (HONEST_BUT_CURIOUS, MALICIOUS)
RULES = ("guarded", "published")


class InfeasibleParameters(Exception):  # noqa: N818  an answer, not a slip: the search ended without a choice
    """No degree and threshold are private and correct enough: why, and the nearest drop-out fraction that has some."""

    def __init__(self, reason: str, feasible_dropout_fraction: float | None) -> None:
        super().__init__(reason, feasible_dropout_fraction)
        self.reason = reason
        self.feasible_dropout_fraction = feasible_dropout_fraction
        """None when even a round without drop-outs has none."""

    def __str__(self) -> str:
        if self.feasible_dropout_fraction is None:
            return f"{self.reason}; not even without drop-outs is there a choice"
        return f"{self.reason}; the nearest feasible drop-out fraction is {self.feasible_dropout_fraction}"


@dataclass(frozen=True)
class Assessment:
    """What a degree and a threshold are worth. `None` bits mean certain: the failure has probability zero."""

    clients: int
    degree: int
    threshold: int
    corrupt: int
    """Corrupt clients counted on."""
    dropped: int
    """Drop-outs counted on."""
    server_trust: str
    sigma_bits: float | None
    """Bits of privacy."""
    sigma_bits_one_more: float | None
    """Bits of privacy with one corrupt client more than counted on."""
    eta_bits: float | None
    """Bits of correctness."""

    @property
    def complete(self) -> bool:
        """Whether every client shares with every other."""
        return self.degree == self.clients - 1

    @property
    def sigma_certain(self) -> bool:
        """Whether no breach of privacy is possible."""
        return self.sigma_bits is None

    @property
    def eta_certain(self) -> bool:
        """Whether the drop-outs counted on cannot stop the round."""
        return self.eta_bits is None

    def sufficient(self, sigma: float = SIGMA, eta: float = ETA) -> bool:
        """Tell whether privacy has `sigma` bits and correctness `eta`, or is certain."""
        return (self.sigma_bits is None or self.sigma_bits >= sigma) and (self.eta_bits is None or self.eta_bits >= eta)

    def as_fields(self) -> dict[str, object]:
        """Return the assessment as JSON keys, the levels beside whether they are certain."""
        return {
            "clients": self.clients,
            "degree": self.degree,
            "threshold": self.threshold,
            "complete": self.complete,
            "corrupt": self.corrupt,
            "dropped": self.dropped,
            "sigma_bits": self.sigma_bits,
            "sigma_certain": self.sigma_certain,
            "sigma_bits_one_more": self.sigma_bits_one_more,
            "eta_bits": self.eta_bits,
            "eta_certain": self.eta_certain,
            "server_trust": self.server_trust,
        }


def in_words(level: float | None) -> str:
    """Return a level of an assessment for people."""
    return "certain" if level is None else f"{level:.1f} bits"


@dataclass(frozen=True)
class Parameters:
    """The degree and threshold that a rule chose, and what they are worth."""

    degree: int
    threshold: int
    rule: str
    """`guarded` or `published`."""
    assessment: Assessment


def assess_parameters(
    clients: int,
    degree: int,
    threshold: int,
    corrupt_fraction: float,
    dropout_fraction: float,
    server_trust: str = HONEST_BUT_CURIOUS,
    *,
    min_corrupt: int = 1,
) -> Assessment:
    """Return the security of a degree and threshold.

    Args:
        clients: n, the size of the cohort, 2 to `MOST_CLIENTS`.
        degree: k, neighbours of a client, itself not counted: even, or n - 1 for the complete graph.
        threshold: t, shares that rebuild a secret, of k.
        corrupt_fraction: share of clients that work with the server, in [0, 1).
        dropout_fraction: share of clients that vanish during the round, in [0, 1).
        server_trust: "honest-but-curious" or "malicious".
        min_corrupt: corrupt clients at least; 1, because the server can always run one client of its own.

    Raises:
        ParameterError: a value that no round can have.
    """
    cohort = _checked_cohort(clients, corrupt_fraction, dropout_fraction, server_trust, min_corrupt)
    require_degree(clients, degree)
    require_whole("threshold", threshold, 1, degree)
    return _assess(cohort, degree, threshold)


def select_parameters(
    clients: int,
    corrupt_fraction: float,
    dropout_fraction: float,
    server_trust: str = HONEST_BUT_CURIOUS,
    *,
    sigma: float = SIGMA,
    eta: float = ETA,
    complete_below: int = COMPLETE_BELOW,
    min_corrupt: int = 1,
    rule: str = "guarded",
) -> Parameters:
    """Return the degree and threshold that a rule chooses.

    Args:
        clients: as in `assess_parameters`, like the next three and `min_corrupt`.
        corrupt_fraction: share of corrupt clients.
        dropout_fraction: share of drop-outs.
        server_trust: what the server may do.
        sigma: wanted bits of privacy, > 0.
        eta: wanted bits of correctness, > 0.
        complete_below: smaller cohorts get the complete graph (guarded rule).
        min_corrupt: corrupt clients at least; the published rule knows no such thing, its assessment here does.
        rule: "guarded"; or "published", for comparison only: what it returns may not be sufficient.

    Raises:
        InfeasibleParameters: no degree and threshold will do.
        ParameterError: a value that no round can have.
    """
    cohort = _checked_cohort(clients, corrupt_fraction, dropout_fraction, server_trust, min_corrupt)
    require_bits("sigma", sigma)
    require_bits("eta", eta)
    require_whole("complete_below", complete_below, 0, MOST_CLIENTS)
    require_word("rule", rule, RULES)
    asked = (clients, corrupt_fraction, dropout_fraction, server_trust)
    if rule == "published":
        choice = published_choice(*asked, sigma, eta)
    else:
        choice = guarded_choice(cohort, sigma, eta, complete_below)
    if choice is None:
        raise _published_infeasible(*asked, sigma, eta) if rule == "published" else _guarded_infeasible(cohort)
    return Parameters(choice.degree, choice.threshold, rule, _assess(cohort, choice.degree, choice.threshold))


def select_threshold(
    clients: int,
    degree: int,
    corrupt_fraction: float,
    dropout_fraction: float,
    server_trust: str = HONEST_BUT_CURIOUS,
    *,
    sigma: float = SIGMA,
    eta: float = ETA,
    min_corrupt: int = 1,
) -> int | None:
    """Return the threshold that the guarded rule takes at a given degree, or None: the degree itself must change.

    Raises:
        ParameterError: a value that no round can have.
    """
    cohort = _checked_cohort(clients, corrupt_fraction, dropout_fraction, server_trust, min_corrupt)
    require_degree(clients, degree)
    require_bits("sigma", sigma)
    require_bits("eta", eta)
    return guarded_threshold(cohort, degree, sigma, eta)


def _assess(cohort: Cohort, degree: int, threshold: int) -> Assessment:
    def finite(level: float) -> float | None:
        return None if math.isinf(level) else level

    return Assessment(
        clients=cohort.clients,
        degree=degree,
        threshold=threshold,
        corrupt=cohort.corrupt,
        dropped=cohort.dropped,
        server_trust=cohort.server_trust,
        sigma_bits=finite(cohort.sigma_bits(degree, threshold)),
        sigma_bits_one_more=finite(cohort.one_more_corrupt().sigma_bits(degree, threshold)),
        eta_bits=finite(cohort.eta_bits(degree, threshold)),
    )


def _guarded_infeasible(cohort: Cohort) -> InfeasibleParameters:
    n, lowest = cohort.clients, lowest_on_complete(cohort)
    highest = n - 1 - cohort.dropped
    reason = (
        f"{n} clients, {cohort.corrupt} of them corrupt and {cohort.dropped} dropped, leave no choice: even where each "
        f"shares with all others, privacy wants a threshold of {lowest} or more, correctness of {highest} or less"
    )
    most_dropped = n - 1 - lowest
    return InfeasibleParameters(reason, most_dropped / n if most_dropped >= 0 else None)


def _published_infeasible(
    clients: int, corrupt_fraction: float, dropout_fraction: float, server_trust: str, sigma: float, eta: float
) -> InfeasibleParameters:
    reason = "the published rule finds no even degree below n - 1 with a threshold that is private and correct"
    if published_refuses(corrupt_fraction, dropout_fraction, server_trust):
        twice = "twice " if server_trust == MALICIOUS else ""
        sums_to = f"the corrupt fraction plus {twice}the drop-out fraction"
        reason = f"the published rule wants {sums_to} to be {PUBLISHED_LOAD} or less"

    def infeasible(dropped: int) -> bool:
        return published_choice(clients, corrupt_fraction, dropped / clients, server_trust, sigma, eta) is None

    dropped = Cohort.of_fractions(clients, 0, dropout_fraction, server_trust, 0).dropped
    most_dropped = first_true(range(dropped + 1), infeasible) - 1
    return InfeasibleParameters(reason, most_dropped / clients if most_dropped >= 0 else None)


def _checked_cohort(
    clients: int, corrupt_fraction: float, dropout_fraction: float, server_trust: str, min_corrupt: int
) -> Cohort:
    require_whole("clients", clients, 2, MOST_CLIENTS)
    require_fraction("corrupt_fraction", corrupt_fraction)
    require_fraction("dropout_fraction", dropout_fraction)
    require_word("server_trust", server_trust, SERVERS)
    require_whole("min_corrupt", min_corrupt, 0, clients - 1)
    return Cohort.of_fractions(clients, corrupt_fraction, dropout_fraction, server_trust, min_corrupt)
