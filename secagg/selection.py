"""The two rules by which degree and threshold are chosen.

*Guarded* (the default) asks for the wanted privacy with one corrupt client more than declared: near a boundary of
floor(fraction * n) the bits fall off a cliff. With n = 100, 5 % corrupt and 5 % dropped, (12, 6) is certain at 5
corrupt clients and has 13.7 bits at 6. Small cohorts get the complete graph: there, such rounding decides everything.

*Published* is the rule of google-parfait/federated-compute, fcp/secagg/server/graph_parameter_finder.cc (commit
bdbd822), kept for comparison: it lifts t to 2 only after its test, which can cost the correctness.

Both look for the smallest even degree k that has a threshold t: private, so not too low, and correct, so not too high.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import NamedTuple

from secagg.failures import MALICIOUS, Cohort
from secagg.probability import bits, log_at_least

PUBLISHED_LOAD = 0.9
"""The published rule refuses corrupt and drop-out fractions that add up to more."""


class Choice(NamedTuple):
    """A degree and a threshold that a rule found."""

    degree: int
    """k, the neighbours with whom a client shares its secrets."""
    threshold: int
    """t, the shares that rebuild a secret."""


def first_true(numbers: range, holds: Callable[[int], bool]) -> int:
    """Return the first of `numbers` for which `holds` turns true for good; `numbers.stop` when it never does."""
    index = bisect_left(numbers, True, key=holds)
    return numbers[index] if index < len(numbers) else numbers.stop


def viable(
    degrees: range, lowest: Callable[[int], int], highest: Callable[[int], int], server_trust: str
) -> Iterator[tuple[int, range]]:
    """Yield the even degrees that leave a threshold, in order, with the thresholds they leave.

    Two more neighbours hold at most two more survivors, so `highest` rises by at most 2; they never lower the number of
    corrupt ones, so `lowest` does not fall (and rises by at least 1 for a malicious server, whose t is half of k and
    more). A gap between the two therefore says how many degrees are hopeless, and those are skipped: exact, and a
    search through n = 10^6 looks at some hundred degrees.

    Args:
        degrees: even degrees, ascending by 2.
        lowest: the lowest private threshold at a degree; k + 1 when there is none.
        highest: the highest correct threshold at a degree; 0 when there is none.
        server_trust: `MALICIOUS` or else.
    """
    closing = 1 if server_trust == MALICIOUS else 2  # per step of two neighbours
    k = degrees.start
    while k < degrees.stop:
        private, correct = lowest(k), highest(k)
        if private <= correct:
            yield k, range(private, correct + 1)
        k += 2 * max(1, math.ceil((private - correct) / closing))


def guarded_threshold(cohort: Cohort, degree: int, sigma: float, eta: float) -> int | None:
    """Return the threshold that the guarded rule takes at this degree, or None.

    On a complete graph nothing is left to chance: from t_min, which the corrupt cannot reach, to t_max, which the
    survivors always reach, it is the middle (the upper one), so that both sides have the same margin. Elsewhere it is
    the smallest that is private enough with one more corrupt client.
    """
    n, k = cohort.clients, degree
    if k == n - 1:
        lowest, highest = lowest_on_complete(cohort), n - cohort.dropped - 1
        return (lowest + highest + 1) // 2 if lowest <= highest else None
    t = _first_private(cohort.one_more_corrupt(), k, range(2, k + 1), sigma)
    return t if t <= k and cohort.eta_bits(k, t) >= eta else None


def lowest_on_complete(cohort: Cohort) -> int:
    """Return the lowest threshold, 2 or more, that all corrupt clients together cannot reach on a complete graph."""
    n, C = cohort.clients, cohort.corrupt
    return max(2, (n - 1 + C) // 2 + 1 if cohort.server_trust == MALICIOUS else C + 1)


def guarded_choice(cohort: Cohort, sigma: float, eta: float, complete_below: int) -> Choice | None:
    """Return what the guarded rule chooses, or None: not even the complete graph is private and correct."""
    n = cohort.clients
    sparse = _smallest_sparse(cohort, sigma, eta) if n >= complete_below else None
    if sparse is not None:
        return sparse
    t = guarded_threshold(cohort, n - 1, sigma, eta)
    return None if t is None else Choice(n - 1, t)


def _first_private(cohort: Cohort, degree: int, thresholds: range, sigma: float) -> int:
    return first_true(thresholds, lambda t: cohort.sigma_bits(degree, t) >= sigma)


def _smallest_sparse(cohort: Cohort, sigma: float, eta: float) -> Choice | None:
    n, guarded = cohort.clients, cohort.one_more_corrupt()

    def lowest(k: int) -> int:
        return first_true(range(2, k + 1), lambda t: bits(guarded.log_exposed(k, t)) >= sigma)

    def highest(k: int) -> int:
        return first_true(range(1, k + 1), lambda t: cohort.eta_bits(k, t) < eta) - 1

    connected = first_true(range(2, n - 1, 2), lambda k: bits(guarded.log_disconnected(k)) >= sigma)
    for k, thresholds in viable(range(connected, n - 1, 2), lowest, highest, cohort.server_trust):
        t = _first_private(guarded, k, thresholds, sigma)
        if t in thresholds:
            return Choice(k, t)
    return None


def published_choice(
    clients: int, corrupt_fraction: float, dropout_fraction: float, server_trust: str, sigma: float, eta: float
) -> Choice | None:
    """Return what the published rule chooses, or None.

    With t1 = min {t: Pr[corrupt neighbours > t] <= 2^-(sigma + 1) / n} and t2 = max {t: Pr[surviving neighbours < t] <=
    2^-eta / n} it takes t1 + 1 (`lowest` below) at the first even k < n - 1 where t1 < t2. For a malicious server the
    source raises t1 to ceil((t1 + k - 1.25) / 2), so t1 + 1 to ceil((t1 + 1 + k) / 2). Neighbours are drawn from all n.
    """
    if published_refuses(corrupt_fraction, dropout_fraction, server_trust):
        return None
    cohort = Cohort.of_fractions(clients, corrupt_fraction, dropout_fraction, server_trust, min_corrupt=0)
    n, C, D = clients, cohort.corrupt, cohort.dropped
    log_disconnected = -(sigma + 1) * math.log(2)  # privacy is split evenly between its two failures
    log_exposed = log_disconnected - math.log(n)
    log_stuck = -eta * math.log(2) - math.log(n)

    def lowest(k: int) -> int:
        t = first_true(range(1, k + 1), lambda t: log_at_least(n, C, k, t) <= log_exposed)
        return (t + k + 1) // 2 if server_trust == MALICIOUS else t

    def highest(k: int) -> int:
        return first_true(range(1, k + 1), lambda t: log_at_least(n, D, k, k - t + 1) > log_stuck) - 1

    connected = first_true(range(2, n - 1, 2), lambda k: cohort.log_disconnected(k) < log_disconnected)
    found = next(viable(range(connected, n - 1, 2), lowest, highest, server_trust), None)
    if found is None:
        return None
    degree, thresholds = found
    return Choice(degree, max(2, thresholds.start))


def published_refuses(corrupt_fraction: float, dropout_fraction: float, server_trust: str) -> bool:
    """Tell whether the published rule refuses at once; drop-outs weigh twice under a malicious server."""
    weight = 2 if server_trust == MALICIOUS else 1
    return corrupt_fraction + weight * dropout_fraction > PUBLISHED_LOAD + 1e-9
