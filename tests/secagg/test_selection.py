"""The search against one that skips nothing, and the rules against their definitions."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.failures import HONEST_BUT_CURIOUS, MALICIOUS, Cohort
from secagg.probability import log_at_least
from secagg.selection import Choice, first_true, guarded_choice, published_choice, viable

SERVERS = st.sampled_from([HONEST_BUT_CURIOUS, MALICIOUS])


def guarded_by_definition(cohort: Cohort, sigma: float, eta: float) -> Choice | None:
    """The guarded rule for sparse graphs, word by word: every degree, every threshold, no bisection."""
    one_more = cohort.one_more_corrupt()
    for k in range(2, cohort.clients - 1, 2):
        private = [t for t in range(2, k + 1) if one_more.sigma_bits(k, t) >= sigma]
        if private and cohort.eta_bits(k, private[0]) >= eta:
            return Choice(k, private[0])
    return None


def published_by_definition(cohort: Cohort, sigma: float, eta: float) -> Choice | None:
    """The published rule as its source computes it (t1, t2 and the comparison), every degree and threshold."""
    n, ln2 = cohort.clients, math.log(2)
    for k in range(2, n - 1, 2):
        if cohort.log_disconnected(k) >= -(sigma + 1) * ln2:
            continue
        exposed = -(sigma + 1) * ln2 - math.log(n)
        t1 = min(t for t in range(k + 1) if log_at_least(n, cohort.corrupt, k, t + 1) <= exposed)
        stuck = -eta * ln2 - math.log(n)
        t2 = max(t for t in range(k + 1) if log_at_least(n, cohort.dropped, k, k - t + 1) <= stuck)
        if cohort.server_trust == MALICIOUS:
            t1 = math.ceil((t1 + k - 1.25) / 2)
        if t1 < t2:
            return Choice(k, max(t1 + 1, 2))
    return None


@st.composite
def cohorts(draw: st.DrawFn) -> Cohort:
    clients = draw(st.integers(4, 200))
    corrupt, dropped = draw(st.integers(0, clients // 2)), draw(st.integers(0, clients // 2))
    return Cohort(clients, corrupt, dropped, draw(SERVERS))


@settings(max_examples=80, deadline=None)
@given(cohorts(), st.floats(1, 60), st.floats(1, 40))
def test_skipping_degrees_never_skips_the_answer(cohort: Cohort, sigma: float, eta: float) -> None:
    expected = guarded_by_definition(cohort, sigma, eta)
    found = guarded_choice(cohort, sigma, eta, complete_below=0)
    assert found == expected if expected else found is None or found.degree == cohort.clients - 1


@settings(max_examples=80, deadline=None)
@given(cohorts(), st.floats(1, 60), st.floats(1, 40))
def test_the_published_rule_is_what_its_source_computes(cohort: Cohort, sigma: float, eta: float) -> None:
    n, corrupt, dropped = cohort.clients, cohort.corrupt / cohort.clients, cohort.dropped / cohort.clients
    found = published_choice(n, corrupt, dropped, cohort.server_trust, sigma, eta)
    weight = 2 if cohort.server_trust == MALICIOUS else 1
    if corrupt + weight * dropped > 0.9 + 1e-9:
        assert found is None
    else:
        assert found == published_by_definition(cohort, sigma, eta)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=60), st.lists(st.integers(0, 2), min_size=1, max_size=60))
def test_viable_degrees_are_all_found_and_in_order(falls: list[int], rises: list[int]) -> None:
    steps = min(len(falls), len(rises))
    degrees = range(2, 2 + 2 * steps, 2)
    private = {k: 8 + sum(falls[: i + 1]) for i, k in enumerate(degrees)}
    correct = {k: sum(rises[: i + 1]) for i, k in enumerate(degrees)}
    found = dict(viable(degrees, private.__getitem__, correct.__getitem__, HONEST_BUT_CURIOUS))
    assert found == {k: range(private[k], correct[k] + 1) for k in degrees if private[k] <= correct[k]}
    assert list(found) == sorted(found)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(-2, 40))
def test_the_first_true_is_found_or_the_end_is_told(start: int, length: int, turn: int) -> None:
    numbers = range(start, start + length)
    assert first_true(numbers, lambda t: t >= turn) == min(max(turn, start), numbers.stop)
