import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from unlearning.federated.data import ClientData
from unlearning.federated.request import UnlearningRequest
from unlearning.federated.scenarios import (
    FORGET,
    SCENARIOS,
    PlantedForgetting,
    Sizes,
    backdoor,
    dirichlet,
    noisy,
    skew,
    small,
    stamped,
)

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

NAMES = tuple(SCENARIOS)
ALL_KINDS = pytest.mark.parametrize("name", NAMES)


def numbered(examples: int, classes: int, seed: int = 0, shape: tuple[int, ...] = (8, 8)) -> tuple[Array, Labels]:
    """Images whose pixels all but the trigger's say which image it is, and labels that say nothing of it."""
    x = np.broadcast_to(np.arange(examples).reshape(-1, *[1] * len(shape)) / examples, (examples, *shape))
    y = np.random.default_rng(seed).permutation(np.arange(examples) % classes)
    return x.astype(np.float64), y.astype(np.int64)


def numbers(data: ClientData, examples: int) -> Labels:
    """Which images these are, trigger or not."""
    top = data.x.flatten(1)[:, 0].double().numpy()
    return np.rint(top * examples).astype(np.int64)


def is_stamped(data: ClientData) -> npt.NDArray[np.bool_]:
    return np.array([bool((image == torch.from_numpy(stamped(image[None].numpy())[0])).all()) for image in data.x])


def plant(name: str, x: Array, y: Labels, seed: int) -> PlantedForgetting:
    return SCENARIOS[name](x, y, np.random.default_rng(seed), Sizes())


@settings(deadline=None, max_examples=25)
@given(name=st.sampled_from(NAMES), seed=st.integers(0, 2**32), classes=st.integers(2, 10))
def test_no_image_is_in_two_of_test_clients_and_holdout(name: str, seed: int, classes: int) -> None:
    x, y = numbered(900, classes, seed)
    data = plant(name, x, y, seed).data
    assert data.holdout is not None
    dealt = [numbers(part, 900) for part in (*data.clients, data.test, data.holdout)]
    together = np.concatenate(dealt)
    assert len(np.unique(together)) == len(together)
    assert len(dealt[-2]) == 150


@settings(deadline=None, max_examples=25)
@given(name=st.sampled_from(NAMES), seed=st.integers(0, 2**32), classes=st.integers(2, 10))
def test_every_example_to_forget_has_a_twin_that_nobody_trained_on(name: str, seed: int, classes: int) -> None:
    x, y = numbered(900, classes, seed)
    data = plant(name, x, y, seed).data
    assert data.twin is not None
    assert data.holdout is not None
    mine, twins = numbers(data.clients[FORGET], 900), numbers(data.twin, 900)
    assert np.array_equal(y[mine], y[twins])
    assert torch.equal(data.clients[FORGET].y, data.twin.y)
    assert np.array_equal(is_stamped(data.clients[FORGET]), is_stamped(data.twin))
    assert len(np.unique(twins)) == len(twins)
    assert set(twins) <= set(numbers(data.holdout, 900))


@ALL_KINDS
def test_only_the_client_that_asks_has_touched_its_data(name: str) -> None:
    x, y = numbered(900, 10)
    data = plant(name, x, y, seed=3).data
    assert data.holdout is not None
    for part in (*data.clients[FORGET + 1 :], data.test, data.holdout):
        chosen = numbers(part, 900)
        assert np.array_equal(part.y.numpy(), y[chosen])
        assert np.array_equal(part.x.numpy(), x[chosen].astype(np.float32))


@ALL_KINDS
def test_the_same_dice_plant_the_same_case_and_others_another(name: str) -> None:
    x, y = numbered(900, 10)
    first, again, other = (plant(name, x, y, seed) for seed in (1, 1, 2))
    assert torch.equal(first.data.clients[FORGET].x, again.data.clients[FORGET].x)
    assert torch.equal(first.data.clients[FORGET].y, again.data.clients[FORGET].y)
    assert set(numbers(first.data.test, 900)) != set(numbers(other.data.test, 900))
    assert (first.name, first.request) == (name, "client:0")
    assert UnlearningRequest.parse(first.request) == UnlearningRequest.client(FORGET)


def test_a_backdoor_is_half_of_the_clients_examples_and_its_probes_are_fresh() -> None:
    x, y = numbered(900, 10)
    case = backdoor(x, y, np.random.default_rng(5), target=7)
    mine, probes, twin = case.data.clients[FORGET], case.data.probes, case.data.twin
    assert probes is not None
    assert twin is not None
    marked, original = is_stamped(mine), y[numbers(mine, 900)]
    assert marked.sum() == len(mine) // 2
    assert np.array_equal(mine.y.numpy(), np.where(marked, 7, original))
    assert is_stamped(probes).all()
    assert (probes.y == 7).all()
    assert (y[numbers(probes, 900)] != 7).all()
    trained = np.concatenate([numbers(client, 900) for client in case.data.clients])
    assert not set(numbers(probes, 900)) & {*trained.tolist(), *numbers(twin, 900).tolist()}
    assert f"{marked.sum()} of its {len(mine)}" in case.planted


def test_noise_is_half_of_the_clients_labels_and_each_of_them_is_wrong() -> None:
    x, y = numbered(6000, 4)
    data = noisy(x, y, np.random.default_rng(5)).data
    mine = data.clients[FORGET]
    original, given_labels = y[numbers(mine, 6000)], mine.y.numpy()
    assert (original != given_labels).sum() == len(mine) // 2
    counts = np.bincount(((given_labels - original) % 4)[original != given_labels], minlength=4)
    assert counts[1:].min() > 0.2 * counts.sum()  # the three wrong labels come up alike
    assert not is_stamped(mine).any()


def test_noise_gives_only_labels_that_there_are() -> None:
    x, y = numbered(900, 3)
    mine = noisy(x, 10 * y + 5, np.random.default_rng(0)).data.clients[FORGET]
    assert set(mine.y.tolist()) == {5, 15, 25}


def test_a_skewed_class_is_held_by_one_client_alone_and_tested() -> None:
    x, y = numbered(900, 10)
    data = skew(x, y, np.random.default_rng(2)).data
    held = [set(client.y.tolist()) for client in data.clients]
    alone = held[FORGET] - set.union(*held[FORGET + 1 :])
    assert len(alone) == 1
    assert held[FORGET] == set(range(10))
    assert alone <= set(data.test.y.tolist())


def test_a_small_client_holds_thirty_clean_examples() -> None:
    x, y = numbered(900, 10)
    case = small(x, y, np.random.default_rng(2))
    assert len(case.data.clients[FORGET]) == 30
    assert min(map(len, case.data.clients[1:])) > 45
    assert case.data.probes is None


def test_a_dirichlet_draw_is_skewed_and_never_leaves_the_client_empty() -> None:
    x, y = numbered(900, 10)
    sizes = [len(dirichlet(x, y, np.random.default_rng(seed), alpha=0.02).data.clients[FORGET]) for seed in range(20)]
    assert min(sizes) > 0
    assert max(sizes) > 2 * min(sizes)


def test_shares_stay_as_they_were_dealt() -> None:
    x, y = numbered(6000, 10)
    data = noisy(x, y, np.random.default_rng(1), Sizes(clients=5, test=0.1, holdout=0.5)).data
    assert len(data.clients) == 5
    assert all(530 <= len(client) <= 540 for client in data.clients)  # half of 5,400, less what cannot be halved


def test_the_digits_carry_more_than_a_hundred_probes_and_examples_to_forget() -> None:
    digits = load_digits()
    x, y = digits.data / 16, digits.target.astype(np.int64)
    for seed in range(5):
        probes = plant("backdoor", x, y, seed).data.probes
        assert probes is not None
        assert len(probes) >= 100
        assert len(plant("noisy", x, y, seed).data.clients[FORGET]) >= 100


@pytest.mark.parametrize(("shape", "patch"), [((64,), 2), ((8, 8), 2), ((1, 28, 28), 4), ((3, 28, 28), 4)])
def test_the_trigger_is_a_square_in_one_corner_and_nothing_else(shape: tuple[int, ...], patch: int) -> None:
    x = np.random.default_rng(0).random((4, *shape)) / 2
    marked = stamped(x)
    assert marked.shape == x.shape
    side = 8 if shape[-1] in (8, 64) else 28
    before, after = x.reshape(4, -1, side, side), marked.reshape(4, -1, side, side)
    assert (after[..., -patch:, :patch] == 1).all()
    assert (before != after).sum() == 4 * before.shape[1] * patch**2
    assert np.array_equal(stamped(marked), marked)
    assert x.max() < 1  # what was handed in is left alone


@pytest.mark.parametrize("shape", [(63,), (8, 9), (1, 28, 27)])
def test_images_that_are_not_square_bear_no_trigger(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="not square"):
        stamped(np.zeros((2, *shape)))
