"""The graph against another implementation, its definition on a ring, and breadth-first search."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.graph import is_connected, neighbours, ring_order

CASE = json.loads((Path(__file__).parents[1] / "vectors" / "secagg" / "vectors.json").read_bytes())["graph"]
BEACON = bytes.fromhex(CASE["beacon"])
sizes = st.integers(2, 40)


def cohort(clients: int) -> list[str]:
    return [f"c{number:05}" for number in range(1, clients + 1)]


def reached_from(graph: dict[str, tuple[str, ...]], start: str, alive: set[str]) -> set[str]:
    """Breadth-first search, as in a textbook."""
    seen, queue = {start}, [start]
    for one in queue:
        for peer in graph[one]:
            if peer in alive and peer not in seen:
                seen.add(peer)
                queue.append(peer)
    return seen


def test_it_is_the_graph_of_the_format() -> None:
    graph = neighbours(CASE["ids"], CASE["degree"], BEACON)
    assert {one: list(peers) for one, peers in graph.items()} == CASE["neighbours"]
    assert list(ring_order(CASE["ids"], BEACON)) == CASE["ring_order"]


@given(clients=sizes, half=st.integers(1, 20), beacon=st.binary(min_size=32, max_size=32))
def test_every_client_has_its_degree_and_neighbourhood_is_mutual(clients: int, half: int, beacon: bytes) -> None:
    degree = 2 * half if 2 * half < clients - 1 else clients - 1
    graph = neighbours(cohort(clients), degree, beacon)
    assert set(graph) == set(cohort(clients))
    for one, peers in graph.items():
        assert len(set(peers)) == degree
        assert list(peers) == sorted(peers)
        assert all(one in graph[peer] and peer != one for peer in peers)


def test_the_order_in_which_clients_are_named_changes_nothing() -> None:
    shuffled = cohort(30)
    random.Random(5).shuffle(shuffled)
    assert neighbours(shuffled, 6, BEACON) == neighbours(cohort(30), 6, BEACON)


def test_another_beacon_gives_another_graph() -> None:
    assert neighbours(cohort(30), 6, BEACON) != neighbours(cohort(30), 6, bytes(32))


@pytest.mark.parametrize("degree", [0, 3, 12, -2])
def test_a_degree_that_no_such_graph_has_is_refused(degree: int) -> None:
    with pytest.raises(ValueError, match="among 12 clients"):
        neighbours(cohort(12), degree, BEACON)


def test_a_client_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="stands twice"):
        neighbours(["a", "b", "a", "c"], 3, BEACON)


@given(clients=st.integers(4, 14), half=st.integers(1, 3), data=st.data())
def test_connected_means_that_search_reaches_everybody(clients: int, half: int, data: st.DataObject) -> None:
    degree = 2 * half if 2 * half < clients - 1 else clients - 1
    graph = neighbours(cohort(clients), degree, BEACON)
    alive = data.draw(st.sets(st.sampled_from(cohort(clients)), min_size=1))
    assert is_connected(graph, alive) == (reached_from(graph, min(alive), alive) == alive)


def test_two_runs_of_half_the_degree_cut_a_ring_and_less_does_not() -> None:
    ring = ring_order(cohort(12), BEACON)
    graph = neighbours(cohort(12), 4, BEACON)
    assert not is_connected(graph, set(ring) - {*ring[:2], *ring[6:8]})
    assert is_connected(graph, set(ring) - {*ring[:2], ring[6]})


def test_nobody_is_connected() -> None:
    assert is_connected(neighbours(cohort(5), 4, BEACON), set())
