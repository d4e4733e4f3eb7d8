"""The bounds on failure against every case that can happen in a small cohort, and against dice in a larger one.

The oracle builds the graph, marks the clients and looks: no formula of ours.
"""

import math
from collections.abc import Collection
from itertools import combinations

import numpy as np
import pytest

from secagg.failures import HONEST_BUT_CURIOUS, MALICIOUS, Cohort
from secagg.probability import IMPOSSIBLE


def ring(clients: int, degree: int) -> list[set[int]]:
    """The neighbours of each client: the `degree` nearest on the ring, all others if that is everybody."""
    if degree == clients - 1:
        return [set(range(clients)) - {u} for u in range(clients)]
    steps = [s for s in range(-(degree // 2), degree // 2 + 1) if s]
    return [{(u + s) % clients for s in steps} for u in range(clients)]


def connected(graph: list[set[int]], alive: Collection[int]) -> bool:
    """Breadth-first search; nobody and one alone are connected."""
    if not alive:
        return True
    seen, front = set(), {next(iter(alive))}
    while front:
        seen |= front
        front = {v for u in front for v in graph[u] if v in alive} - seen
    return len(seen) == len(set(alive))


def small_rings() -> list[tuple[int, int]]:
    """Every cohort of up to 12 and every degree it can have."""
    return [(n, k) for n in range(2, 13) for k in range(1, n) if k == n - 1 or k % 2 == 0]


@pytest.mark.parametrize(("n", "k"), small_rings())
def test_the_disconnection_bound_holds_over_all_removals(n: int, k: int) -> None:
    graph, cuts_exist = ring(n, k), False
    for removed in range(n):
        cohort = Cohort(n, corrupt=removed, dropped=0, server_trust=HONEST_BUT_CURIOUS)
        cut = [not connected(graph, set(range(n)) - set(gone)) for gone in combinations(range(n), removed)]
        frequency, bound = sum(cut) / len(cut), math.exp(cohort.log_disconnected(k))
        assert frequency <= bound * (1 + 1e-12)
        assert (bound > 0) != (cohort.log_disconnected(k) == IMPOSSIBLE)
        cuts_exist |= any(cut)
    assert cuts_exist == (k != n - 1)  # both controls: every sparse ring can be cut, no complete graph can


@pytest.mark.parametrize(("n", "k"), [(n, k) for n, k in small_rings() if n <= 9])
@pytest.mark.parametrize("server_trust", [HONEST_BUT_CURIOUS, MALICIOUS])
def test_exposure_is_exact_for_one_client(n: int, k: int, server_trust: str) -> None:
    near = ring(n, k)[0]
    for corrupt in range(n):
        cohort = Cohort(n, corrupt, dropped=0, server_trust=server_trust)
        marked = [len(near & set(chosen)) for chosen in combinations(range(1, n), corrupt)]
        for t in range(1, k + 1):
            # a malicious server gets one answer of every honest neighbour and two of every corrupt one
            given_away = [(c + k if server_trust == MALICIOUS else 2 * c) >= 2 * t for c in marked]
            expected = (n - corrupt) * sum(given_away) / len(given_away)
            assert math.exp(cohort.log_exposed(k, t)) == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.parametrize(("n", "k"), [(n, k) for n, k in small_rings() if n <= 9])
def test_getting_stuck_is_exact_for_one_client(n: int, k: int) -> None:
    near = ring(n, k)[0]
    for dropped in range(n):
        cohort = Cohort(n, corrupt=1, dropped=dropped, server_trust=HONEST_BUT_CURIOUS)
        kept = [len(near - set(gone)) for gone in combinations(range(1, n), dropped)]
        for t in range(1, k + 1):
            expected = n * sum(left < t for left in kept) / len(kept)
            assert math.exp(cohort.log_stuck(k, t)) == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    ("n", "k", "t", "corrupt", "dropped", "server_trust"),
    [
        (60, 8, 6, 7, 3, MALICIOUS),
        (60, 8, 6, 20, 2, HONEST_BUT_CURIOUS),
        (50, 6, 5, 5, 2, MALICIOUS),
        (40, 8, 5, 5, 4, HONEST_BUT_CURIOUS),
    ],
)
def test_dice_never_fall_worse_than_the_bounds(
    n: int, k: int, t: int, corrupt: int, dropped: int, server_trust: str
) -> None:
    rng, rounds = np.random.default_rng(20200704), 1500
    graph, cohort = ring(n, k), Cohort(n, corrupt, dropped, server_trust)
    needed = 2 * t - k if server_trust == MALICIOUS else t
    breached = stuck = 0
    for _ in range(rounds):
        order = rng.permutation(n).tolist()
        bad = set(order[:corrupt])
        gone = set(rng.permutation(n)[:dropped].tolist())  # any client may drop, a corrupt one too
        exposed = any(len(graph[u] & bad) >= needed for u in range(n) if u not in bad)
        breached += exposed or not connected(graph, set(range(n)) - bad - gone)
        stuck += any(len(graph[u] - gone) < t for u in range(n) if u not in gone)
    for seen, promised in ((breached, cohort.sigma_bits(k, t)), (stuck, cohort.eta_bits(k, t))):
        frequency, bound = seen / rounds, 2.0**-promised
        assert bound < 1  # else nothing is claimed
        assert frequency - 3 * math.sqrt(frequency * (1 - frequency) / rounds) <= bound
    assert breached + stuck > 0  # positive control: the dice can fail


def test_fractions_count_whole_clients_and_round_the_careful_way() -> None:
    assert 0.29 * 100 < 29  # the trap: floor alone would count 28
    assert Cohort.of_fractions(100, 0.29, 0.29, MALICIOUS, 1) == Cohort(100, 29, 29, MALICIOUS)
    assert Cohort.of_fractions(10, 0.05, 0.05, MALICIOUS, 1) == Cohort(10, 1, 0, MALICIOUS)
    assert Cohort.of_fractions(2, 0.99, 0.99999999999999999 - 1e-15, MALICIOUS, 0).dropped == 1


def test_the_last_honest_client_is_not_counted_as_corrupt() -> None:
    assert Cohort(3, 2, 0, MALICIOUS).one_more_corrupt() == Cohort(3, 2, 0, MALICIOUS)
    assert Cohort(3, 1, 0, MALICIOUS).one_more_corrupt() == Cohort(3, 2, 0, MALICIOUS)
