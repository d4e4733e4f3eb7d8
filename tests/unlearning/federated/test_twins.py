import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import Tensor

from unlearning.errors import UnlearningError
from unlearning.federated.data import ClientData, label_distance, label_matched, near_duplicates, twin_set
from unlearning.federated.twins import NEAR

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=30)


def labelled(*y: int) -> ClientData:
    """Examples that are known by their place."""
    return ClientData(torch.arange(len(y), dtype=torch.float32).reshape(-1, 1), torch.tensor(y, dtype=torch.int64))


def images(x: Tensor) -> ClientData:
    return ClientData(x, torch.zeros(len(x), dtype=torch.int64))


def slow_near_duplicates(forget: Tensor, retain: Tensor, tolerance: float) -> int:
    """The definition."""
    return sum(
        any(float((one.double() - other.double()).square().mean().sqrt()) <= tolerance for other in retain)
        for one in forget
    )


@given(y=LABELS, spare=LABELS, seed=st.integers(0, 2**32))
def test_a_twin_has_the_labels_of_its_forget_set_and_no_example_twice(
    y: list[int], spare: list[int], seed: int
) -> None:
    holdout = labelled(*y, *spare)
    twin = twin_set(labelled(*y), holdout, np.random.default_rng(seed))
    assert twin.y.tolist() == y
    places = twin.x.flatten().int().tolist()
    assert len(set(places)) == len(y)
    assert [int(holdout.y[place]) for place in places] == y
    assert label_distance(labelled(*y), twin) == 0
    assert label_matched(labelled(*y), twin)


def test_every_held_out_example_is_drawn_alike() -> None:
    rng, holdout, drawn = np.random.default_rng(0), labelled(*[0] * 10, *[1] * 5), np.zeros(15)
    for _ in range(2000):
        drawn[twin_set(labelled(1, 0, 0), holdout, rng).x.flatten().int().numpy()] += 1
    assert np.abs(drawn - [400] * 15).max() < 4 * np.sqrt(400)


def test_a_holdout_without_enough_of_a_class_is_told() -> None:
    with pytest.raises(UnlearningError, match="3 examples of class 1, the holdout 2") as caught:
        twin_set(labelled(0, 1, 1, 1), labelled(0, 0, 1, 1), np.random.default_rng(0))
    assert (caught.value.code, caught.value.exit_code) == ("unlearning.twin", 2)


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [((0, 1), (1, 0), 0), ((0,), (1,), 1), ((0, 0, 1, 1), (0, 1, 1, 1), 0.25), ((0, 1, 2), (0, 1, 1, 2, 2, 0), 0)],
)
def test_the_distance_of_labels_is_their_total_variation(
    a: tuple[int, ...], b: tuple[int, ...], distance: float
) -> None:
    assert label_distance(labelled(*a), labelled(*b)) == pytest.approx(distance, abs=1e-15)
    assert label_distance(labelled(*b), labelled(*a)) == pytest.approx(distance, abs=1e-15)


def test_a_twin_matches_to_one_example_a_class_or_to_two_hundredths() -> None:
    assert label_matched(labelled(0, 0, 0, 1, 1), labelled(0, 0, 1, 1, 1))  # distance 0.2, one example a class
    assert not label_matched(labelled(0, 0, 0, 1, 1), labelled(0, 1, 1, 1, 1))
    half, shifted = labelled(*[0, 1] * 200), labelled(*[0] * 208, *[1] * 192)
    assert label_matched(half, shifted)  # eight examples a class, distance 0.02
    assert not label_matched(half, labelled(*[0] * 210, *[1] * 190))


def test_an_empty_set_has_no_labels_to_compare() -> None:
    with pytest.raises(ValueError, match="no label histogram"):
        label_distance(labelled(0), labelled())


@pytest.mark.parametrize("tolerance", [0.0, 1e-9, 1e-3, 0.05, 0.2, 0.5])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_near_duplicates_are_those_of_the_definition(tolerance: float, offset: float) -> None:
    generator = torch.Generator().manual_seed(3)
    retain = torch.rand(40, 3, 2, generator=generator) + offset
    moved = retain[:12] + torch.logspace(-10, 0, 12).reshape(-1, 1, 1) * torch.rand(12, 3, 2, generator=generator)
    forget = torch.cat([moved, retain[20:23], torch.rand(10, 3, 2, generator=generator) + offset + 2])
    found = near_duplicates(images(forget), images(retain), tolerance)
    assert found == slow_near_duplicates(forget, retain, tolerance)
    assert 3 <= found < 25


def test_rows_beyond_one_block_are_compared_too() -> None:
    generator = torch.Generator().manual_seed(4)
    retain = torch.rand(3000, 5, generator=generator)
    forget = torch.cat([torch.rand(2000, 5, generator=generator) + 2, retain[[0, 1023, 1024, 2999]]])
    assert near_duplicates(images(forget), images(retain), 1e-6) == 4
    assert near_duplicates(images(forget), images(retain), 0.0) == 4


def test_many_duplicates_of_one_example_count_for_each_forgotten_one() -> None:
    same = torch.full((1500, 4), 0.25)
    assert near_duplicates(images(same), images(same), 0.01) == 1500
    assert near_duplicates(images(same), images(torch.full((3, 4), 0.5)), 0.01) == 0


def test_zero_has_one_sign_and_labels_do_not_count() -> None:
    zero = ClientData(torch.tensor([[-0.0]]), torch.tensor([3]))
    assert near_duplicates(zero, labelled(1), 0.0) == 1


def test_no_two_handwritten_digits_are_near_duplicates_but_a_copy_is() -> None:
    x = torch.from_numpy(load_digits().data / 16).float()
    first, rest = images(x[:600]), images(x[600:])
    assert near_duplicates(first, rest, NEAR) == 0  # negative control
    noise = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))
    planted = images(torch.cat([x[600:], (x[:5] + NEAR / 2 * noise).clamp(0, 1)]))
    assert near_duplicates(first, planted, NEAR) == 5  # positive control


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shapes \(4,\) and \(5,\)"):
        near_duplicates(images(torch.zeros(1, 4)), images(torch.zeros(1, 5)), 0.1)
    for tolerance in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="a finite number from 0"):
            near_duplicates(images(torch.zeros(1, 4)), images(torch.zeros(1, 4)), tolerance)
    assert near_duplicates(images(torch.zeros(0, 4)), images(torch.zeros(1, 4)), 0.1) == 0
    assert near_duplicates(images(torch.zeros(2, 4)), images(torch.zeros(0, 4)), 0.1) == 0
