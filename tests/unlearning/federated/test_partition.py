import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearning.federated.partition import dirichlet_partition, equal_shards


@given(clients=st.integers(1, 9), more=st.integers(0, 40), seed=st.integers(0, 2**32))
def test_shards_are_equal_and_overlap_nowhere(clients: int, more: int, seed: int) -> None:
    shards = equal_shards(clients + more, clients, np.random.default_rng(seed))
    dealt = np.concatenate(shards)
    assert {len(shard) for shard in shards} == {(clients + more) // clients}
    assert len(shards) == clients
    assert len(np.unique(dealt)) == len(dealt)
    assert set(dealt.tolist()) <= set(range(clients + more))


@given(
    y=st.lists(st.integers(0, 4), max_size=60),
    clients=st.integers(1, 6),
    alpha=st.floats(0.05, 100),
    seed=st.integers(0, 2**32),
)
def test_every_example_is_dealt_to_exactly_one_client(y: list[int], clients: int, alpha: float, seed: int) -> None:
    shares = dirichlet_partition(np.array(y, dtype=np.int64), clients, alpha, np.random.default_rng(seed))
    assert len(shares) == clients
    assert sorted(np.concatenate(shares).tolist()) == list(range(len(y)))


def test_a_small_alpha_skews_the_labels_and_a_large_one_does_not() -> None:
    y = np.repeat(np.arange(10), 200)

    def largest_share(alpha: float) -> float:
        shares = dirichlet_partition(y, 10, alpha, np.random.default_rng(0))
        return float(np.mean([np.bincount(y[mine], minlength=10).max() / max(len(mine), 1) for mine in shares]))

    assert largest_share(1000.0) < 0.15
    assert largest_share(0.1) > 0.4


@pytest.mark.parametrize(("clients", "alpha"), [(0, 1.0), (3, 0.0), (3, float("nan"))])
def test_a_partition_that_cannot_be_is_refused(clients: int, alpha: float) -> None:
    with pytest.raises(ValueError, match="cannot deal"):
        dirichlet_partition(np.zeros(3, dtype=np.int64), clients, alpha, np.random.default_rng(0))


def test_more_clients_than_examples_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot deal 2 examples to 3 clients"):
        equal_shards(2, 3, np.random.default_rng(0))
