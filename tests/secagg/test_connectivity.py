"""The ring's arithmetic against a walk through the graph."""

import numpy as np
import pytest

from secagg.connectivity import cut_on_purpose, cuts, hangs_together
from secagg.graph import is_connected, neighbours, ring_order

BEACON = bytes(32)


@pytest.mark.parametrize(("clients", "degree"), [(5, 2), (9, 2), (12, 4), (13, 6), (40, 8), (40, 38)])
def test_it_says_what_a_walk_through_the_graph_says(clients: int, degree: int) -> None:
    ids = tuple(f"c{place}" for place in range(clients))
    graph, ring = neighbours(ids, degree, BEACON), ring_order(ids, BEACON)
    rng = np.random.default_rng(clients)
    answers = set()
    for share in np.linspace(0, 1, 200):
        present = rng.random(clients) < share
        connected = is_connected(graph, {ring[place] for place in np.flatnonzero(present)})
        assert hangs_together(present, degree) == connected
        answers.add(connected)
    assert answers == ({True, False} if degree < clients - 2 else {True})  # each answer was asked for


def test_a_chain_breaks_and_a_dense_ring_holds() -> None:
    present = np.ones(50, bool)
    assert cuts(present, 2, 5, 200, np.random.default_rng(0)) > 150
    assert cuts(present, 20, 5, 200, np.random.default_rng(0)) == 0  # ten in two runs would be needed
    assert present.all()


def test_taking_everybody_away_leaves_nothing_to_cut() -> None:
    assert cuts(np.ones(6, bool), 2, 10, 5, np.random.default_rng(0)) == 0


@pytest.mark.parametrize(("clients", "degree"), [(6, 2), (12, 10), (100, 12)])
def test_a_cut_on_purpose_cuts(clients: int, degree: int) -> None:
    cut = cut_on_purpose(np.ones(clients, bool), degree)
    assert cut is not None
    assert not hangs_together(cut, degree)
    assert cut.sum() == clients - degree


def test_a_lone_survivor_cannot_be_cut_off() -> None:
    assert cut_on_purpose(np.eye(1, 6, dtype=bool)[0], 2) is None
