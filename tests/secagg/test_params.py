"""Selection and assessment: every published vector, the worked examples, and what must hold for any cohort."""

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.failures import HONEST_BUT_CURIOUS, MALICIOUS
from secagg.limits import ParameterError
from secagg.params import (
    Assessment,
    InfeasibleParameters,
    Parameters,
    assess_parameters,
    select_parameters,
    select_threshold,
)

PUBLISHED = json.loads((Path(__file__).parents[1] / "vectors/secagg/parameters.json").read_text())
SERVERS = st.sampled_from([HONEST_BUT_CURIOUS, MALICIOUS])
ASKED = ("clients", "corrupt_fraction", "dropout_fraction", "server_trust")


def one_more(assessment: Assessment) -> Assessment:
    """The same choice as it stands with one more corrupt client."""
    return replace(assessment, sigma_bits=assessment.sigma_bits_one_more)


def test_all_70_published_choices_are_met_exactly() -> None:
    for row in PUBLISHED["vectors"]:
        chosen = select_parameters(*(row[name] for name in ASKED), rule="published")
        assert (chosen.degree, chosen.threshold) == (row["degree"], row["threshold"]), row
    assert len(PUBLISHED["vectors"]) == 70


@pytest.mark.parametrize("row", PUBLISHED["infeasible"], ids=str)
def test_published_impossible_rows_are_refused(row: dict[str, Any]) -> None:
    out_of_range = row["clients"] == 0 or row["dropout_fraction"] == 1
    with pytest.raises(ParameterError if out_of_range else InfeasibleParameters):
        select_parameters(*(row[name] for name in ASKED), rule="published")


@pytest.mark.parametrize("row", PUBLISHED["vectors"], ids=str)
def test_published_choices_keep_their_privacy_under_our_assessment(row: dict[str, Any]) -> None:
    assessed = assess_parameters(
        row["clients"],
        row["degree"],
        row["threshold"],
        row["corrupt_fraction"],
        row["dropout_fraction"],
        row["server_trust"],
        min_corrupt=0,  # as the source counts
    )
    assert assessed.sigma_bits is None or assessed.sigma_bits >= 40


def test_the_published_rule_walks_into_its_trap_and_the_guarded_one_does_not() -> None:
    trap = select_parameters(10, 0.0, 0.33, rule="published")
    assert (trap.degree, trap.threshold) == (4, 2)
    assert trap.assessment.eta_bits == pytest.approx(1.1, abs=0.05)  # half of all rounds fail
    assert not trap.assessment.sufficient()
    guarded = select_parameters(10, 0.0, 0.33)
    assert guarded.assessment.sufficient()
    assert one_more(guarded.assessment).sufficient()


@pytest.mark.parametrize(
    ("asked", "degree", "threshold"),
    [
        ((100, 0.05, 0.05, HONEST_BUT_CURIOUS), 12, 7),
        ((250, 0.1, 0.2, HONEST_BUT_CURIOUS), 48, 23),
        ((10000, 0.33, 0.05, MALICIOUS), 172, 141),
    ],
)
def test_worked_examples(asked: tuple[int, float, float, str], degree: int, threshold: int) -> None:
    chosen = select_parameters(*asked)
    assert (chosen.degree, chosen.threshold) == (degree, threshold)


def test_the_cliff_that_the_guard_is_for() -> None:
    assessed = assess_parameters(100, 12, 6, 0.05, 0.05)
    assert assessed.sigma_certain
    assert assessed.sigma_bits_one_more == pytest.approx(13.7, abs=0.05)


def test_too_small_parameters_have_the_bits_of_the_example() -> None:
    assessed = assess_parameters(5, 2, 2, 0.2, 0.2)
    assert assessed.sigma_bits == pytest.approx(1.0)
    assert assessed.eta_bits == 0.0
    assert not assessed.sufficient()


@settings(max_examples=150, deadline=None)
@given(
    clients=st.integers(2, 400),
    corrupt=st.floats(0, 0.6),
    dropped=st.floats(0, 0.6),
    server=SERVERS,
    sigma=st.floats(5, 80),
    eta=st.floats(5, 40),
)
def test_what_is_selected_is_sufficient_also_with_one_more_corrupt_client(
    clients: int, corrupt: float, dropped: float, server: str, sigma: float, eta: float
) -> None:
    try:
        chosen = select_parameters(clients, corrupt, dropped, server, sigma=sigma, eta=eta)
    except InfeasibleParameters as refused:
        assert_nearest_is_the_boundary(refused, clients, corrupt, server)
        return
    assert chosen.threshold >= 2
    assert chosen.assessment.sufficient(sigma, eta)
    assert chosen.assessment == assess_parameters(clients, chosen.degree, chosen.threshold, corrupt, dropped, server)
    if not chosen.assessment.complete:
        assert one_more(chosen.assessment).sufficient(sigma, eta)
        assert select_threshold(clients, chosen.degree, corrupt, dropped, server, sigma=sigma, eta=eta) is not None
        smaller = chosen.degree - 2
        for t in range(2, smaller + 1):
            below = assess_parameters(clients, smaller, t, corrupt, dropped, server)
            assert not (below.sufficient(sigma, eta) and one_more(below).sufficient(sigma, eta))
    elif leaves_room(chosen):
        assert chosen.assessment.sigma_certain
        assert one_more(chosen.assessment).sigma_certain


def leaves_room(chosen: Parameters) -> bool:
    """Whether a complete graph has a lower private threshold: with a single one there is no room for a guard."""
    was = chosen.assessment
    corrupt, dropped = was.corrupt / was.clients, was.dropped / was.clients
    lower = assess_parameters(was.clients, was.degree, was.threshold - 1, corrupt, dropped, was.server_trust)
    return lower.sigma_certain and lower.threshold >= 2


def assert_nearest_is_the_boundary(refused: InfeasibleParameters, clients: int, corrupt: float, server: str) -> None:
    """At the fraction it names there is a choice; with one more drop-out there is none."""
    nearest = refused.feasible_dropout_fraction
    if nearest is not None:
        select_parameters(clients, corrupt, nearest, server)
    beyond = 0.0 if nearest is None else nearest + 1 / clients
    with pytest.raises(InfeasibleParameters):
        select_parameters(clients, corrupt, beyond, server)


@pytest.mark.parametrize(
    ("clients", "corrupt", "dropped", "server"),
    [
        (10**6, 0.05, 0.05, HONEST_BUT_CURIOUS),
        (10**6, 0.495, 0.495, HONEST_BUT_CURIOUS),  # the longest searches: only vast degrees are left
        (10**6, 0.33, 0.33, MALICIOUS),
        (999_999, 0.5, 0.5, HONEST_BUT_CURIOUS),
    ],
)
def test_a_million_clients_are_not_too_many(clients: int, corrupt: float, dropped: float, server: str) -> None:
    try:
        assert select_parameters(clients, corrupt, dropped, server).assessment.sufficient()
    except InfeasibleParameters:
        assert corrupt + dropped >= 1


def test_the_infeasible_say_why_and_what_would_do() -> None:
    with pytest.raises(InfeasibleParameters, match=r"threshold of 67 or more, correctness of 66 or less.* is 0\.32$"):
        select_parameters(100, 0.33, 0.33, MALICIOUS)
    with pytest.raises(InfeasibleParameters, match="not even without drop-outs"):
        select_parameters(2, 0.5, 0.5)
    with pytest.raises(InfeasibleParameters, match=r"twice the drop-out fraction to be 0\.9 or less.* is 0\.28$"):
        select_parameters(100, 0.33, 0.33, MALICIOUS, rule="published")
    with pytest.raises(InfeasibleParameters, match="finds no even degree"):
        select_parameters(3, 0.0, 0.0, rule="published")


@settings(deadline=None)
@given(
    clients=st.integers(4, 2000),
    half=st.integers(1, 40),
    threshold=st.integers(1, 80),
    corrupt=st.floats(0, 0.9),
    dropped=st.floats(0, 0.9),
)
def test_more_trust_in_others_never_costs_bits(
    clients: int, half: int, threshold: int, corrupt: float, dropped: float
) -> None:
    degree = 2 * min(half, (clients - 1) // 2)
    threshold = min(threshold, degree)

    def sigma(corrupt: float, threshold: int, server: str = HONEST_BUT_CURIOUS) -> float:
        level = assess_parameters(clients, degree, threshold, corrupt, dropped, server).sigma_bits
        return float("inf") if level is None else level

    def eta(dropped: float, threshold: int) -> float:
        level = assess_parameters(clients, degree, threshold, corrupt, dropped).eta_bits
        return float("inf") if level is None else level

    slack = 1e-6
    assert sigma(corrupt / 2, threshold) >= sigma(corrupt, threshold) - slack  # fewer corrupt
    assert sigma(corrupt, threshold) >= sigma(corrupt, threshold, MALICIOUS) - slack  # a tamer server
    assert eta(dropped / 2, threshold) >= eta(dropped, threshold) - slack  # fewer drop-outs
    if threshold < degree:
        assert sigma(corrupt, threshold + 1) >= sigma(corrupt, threshold) - slack  # a higher threshold protects
        assert eta(dropped, threshold) >= eta(dropped, threshold + 1) - slack  # and a lower one survives


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"clients": 1}, "clients"),
        ({"clients": 10**6 + 1}, "clients"),
        ({"clients": 10.0}, "clients"),
        ({"clients": True}, "clients"),
        ({"degree": 3}, "degree"),
        ({"degree": 10}, "degree"),
        ({"degree": 0}, "degree"),
        ({"threshold": 0}, "threshold"),
        ({"threshold": 5}, "threshold"),
        ({"corrupt_fraction": 1.0}, "corrupt_fraction"),
        ({"corrupt_fraction": -0.1}, "corrupt_fraction"),
        ({"dropout_fraction": float("nan")}, "dropout_fraction"),
        ({"dropout_fraction": "0.1"}, "dropout_fraction"),
        ({"server_trust": "trusted"}, "server_trust"),
        ({"min_corrupt": 10}, "min_corrupt"),
    ],
)
def test_impossible_values_are_named_with_what_is_allowed(change: dict[str, object], name: str) -> None:
    sound: dict[str, object] = {
        "clients": 10,
        "degree": 4,
        "threshold": 3,
        "corrupt_fraction": 0.1,
        "dropout_fraction": 0.1,
        "server_trust": HONEST_BUT_CURIOUS,
    }
    assess_parameters(**sound)  # type: ignore[arg-type]  # negative control
    with pytest.raises(ParameterError) as caught:
        assess_parameters(**{**sound, **change})  # type: ignore[arg-type]
    assert caught.value.name == name
    assert repr(change[name]) in str(caught.value)
    assert caught.value.allowed in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"sigma": 0.0},
        {"sigma": float("inf")},
        {"eta": -1.0},
        {"eta": float("nan")},
        {"rule": "own"},
        {"complete_below": -1},
    ],
)
def test_impossible_wishes_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ParameterError, match=next(iter(change))):
        select_parameters(100, 0.1, 0.1, **change)  # type: ignore[arg-type]


def test_errors_survive_the_way_back_from_a_worker() -> None:
    for error in (
        ParameterError("degree", 3, "even"),
        InfeasibleParameters("why", 0.25),
        InfeasibleParameters("x", None),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
