"""The three arms, with attacks that are known to work, to fail, to cheat by luck, or to hand back what is public."""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from audit.arms import Reconstruction, run_arms, verdict
from audit.defences import Defence, DefenceName, gaussian, top_k
from audit.load import Truth
from audit.scene import Scene, Sighting, set_scene
from audit.twin import Scale, clear_gradient
from audit.view import View
from reports.model import Status, Strength

PLAIN = Scale(np.zeros(1), np.ones(1))
NAMES = ("0.weight", "0.bias")


def staged(digits, model: nn.Module, n: int = 64, *, reference: int = 600, defend=lambda g: g, zero: int = 0) -> Scene:
    views = []
    for row in range(n):
        truth = Truth(torch.from_numpy(digits.x[row : row + 1]), torch.from_numpy(digits.y[row : row + 1]))
        sent = defend(clear_gradient(model, truth, PLAIN, NAMES))
        factor = 0.0 if row < zero else 1.0
        tensors = {name: factor * torch.from_numpy(value) for name, value in sent.items()}
        views.append(View(f"updates[{row}]", "gradient", tensors, model, truth))
    rows = slice(n, n + reference)
    public = Truth(torch.from_numpy(digits.x[rows]), torch.from_numpy(digits.y[rows])) if reference else None
    return set_scene(views, public, PLAIN, np.random.default_rng(0))


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def ratio(sighting: Sighting, _: tuple[Defence, ...]) -> tuple[Reconstruction, ...]:
    """The plainest reading there is, for a batch of one."""
    weight, bias = (sighting.views[0].tensors[name].double().numpy() for name in NAMES)
    row = np.abs(bias).argmax()
    return (Reconstruction("ratio", (weight[row] / bias[row])[None]),) if bias[row] else ()


class Fixed:
    """Says the same whatever it sees."""

    def __init__(self, *records: npt.NDArray[np.float64]) -> None:
        self.records = np.array(records)

    def __call__(self, sighting: Sighting, defences: tuple[Defence, ...]) -> tuple[Reconstruction, ...]:
        return (Reconstruction("ratio", self.records),)


def test_a_working_attack_on_a_clear_system_wins_in_both_arms_and_never_in_the_null(digits, perceptron) -> None:
    played = run_arms(ratio, staged(digits, perceptron()), NAMES, rng())
    assert played.system.all()
    assert played.control.all()
    assert not played.null.any()
    assert played.exact.all()
    assert (verdict(played).status, verdict(played).strength) == (Status.FAIL, Strength.EXACT)


def test_noise_leaves_the_control_alone(digits, perceptron) -> None:
    noise = np.random.default_rng(1)
    played = run_arms(ratio, staged(digits, perceptron(), defend=lambda g: gaussian(g, 10.0, noise)), NAMES, rng())
    assert played.control.all()
    assert played.system.sum() <= 1
    assert DefenceName.NOISE in {defence.name for defence in played.defences}


def test_a_lucky_guess_is_lucky_in_the_null_too(digits, perceptron) -> None:
    hub = digits.x[5].astype(np.float64)  # says record 5 to everybody: right once, and as often in the null
    played = run_arms(Fixed(hub + 1e-3), staged(digits, perceptron()), NAMES, rng())
    assert (played.system.sum(), played.null.sum()) == (1, 1)
    assert verdict(played).status is Status.INCONCLUSIVE


def test_handing_back_public_records_accuses_nobody(digits, perceptron) -> None:
    played = run_arms(Fixed(*digits.x[64:68].astype(np.float64)), staged(digits, perceptron()), NAMES, rng())
    assert not played.system.any()


def test_an_attack_that_never_works_fails_its_control(digits, perceptron) -> None:
    played = run_arms(Fixed(np.zeros(64)), staged(digits, perceptron()), NAMES, rng())
    assert verdict(played).reason == "control-failed"


def test_a_dead_model_is_told(digits, perceptron) -> None:
    played = run_arms(ratio, staged(digits, perceptron(dead=True)), NAMES, rng())
    assert played.dead == 1.0
    assert verdict(played).reason == "control-failed"
    assert len(played.system) == 64  # nothing is left out of a failed control


def test_silent_updates_are_left_out_of_a_control_that_works(digits, perceptron) -> None:
    played = run_arms(ratio, staged(digits, perceptron(), zero=10), NAMES, rng())
    assert (len(played.system), played.silent) == (54, 10)
    assert played.system.all()


def test_without_public_records_other_views_are_the_null(digits, perceptron) -> None:
    played = run_arms(ratio, staged(digits, perceptron(), reference=0), NAMES, rng())
    assert played.system.all()
    assert not played.null.any()


def test_one_view_and_nobody_else_proves_nothing_statistical(digits, perceptron) -> None:
    scene = staged(digits, perceptron(), 1, reference=0)
    played = run_arms(Fixed(digits.x[0].astype(np.float64) + 0.2), scene, NAMES, rng())
    assert played.chance == 1.0
    assert verdict(played).status is not Status.FAIL


def test_the_null_view_has_been_through_what_the_system_has(digits, perceptron) -> None:
    seen: list[float] = []

    def watch(sighting: Sighting, defences: tuple[Defence, ...]) -> tuple[Reconstruction, ...]:
        seen.append(float((sighting.views[0].tensors["0.weight"] == 0).double().mean()))
        return ratio(sighting, defences)

    run_arms(watch, staged(digits, perceptron(), 8, defend=lambda g: top_k(g, 0.02)), NAMES, rng())
    system, null, control = (np.mean(seen[i : i + 8]) for i in (0, 8, 16))
    assert abs(system - null) < 0.02 < abs(system - control)


def test_the_same_seed_gives_the_same_arms(digits, perceptron) -> None:
    scene = staged(digits, perceptron(), 16)
    first, second = (run_arms(ratio, scene, NAMES, rng()) for _ in range(2))
    np.testing.assert_array_equal(first.null, second.null)
    np.testing.assert_array_equal(first.best, second.best)
