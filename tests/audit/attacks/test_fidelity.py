"""Whether updates are what the declared model gives: known again, not known again, and hidden by noise."""

import math

import numpy as np
import pytest
import torch

from audit.attacks.fidelity import likeness, misfit
from audit.defences import Defence, DefenceName, clip, detect, gaussian, quantise, sign, top_k
from audit.load import Truth
from audit.scene import Scene, set_scene
from audit.twin import Scale, clear_gradient
from audit.view import View

PLAIN = Scale(np.zeros(1), np.ones(1))


def staged(digits, model, defend, scale: Scale = PLAIN) -> tuple[Scene, list[View], list[str]]:
    names = [name for name, _ in model.named_parameters()]
    views = []
    for row in range(8):
        truth = Truth(torch.from_numpy(digits.x[row : row + 1]), torch.from_numpy(digits.y[row : row + 1]))
        sent = defend(clear_gradient(model, truth, scale, names))
        tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in sent.items()}
        views.append(View(f"updates[{row}]", "gradient", tensors, model, truth))
    return set_scene(views, None, PLAIN, np.random.default_rng(0)), views, names


def met_in(views: list[View], names: list[str]) -> tuple[Defence, ...]:
    return detect([views[0].tensors[name].double().numpy() for name in names], records=1)


@pytest.mark.parametrize(
    "defend",
    [lambda u: u, lambda u: clip(u, 1.0), lambda u: top_k(u, 0.1), sign, quantise,
     lambda u: {name: 1e-6 * value for name, value in u.items()}],
    ids=["clear", "clipped", "pruned", "signs", "int8", "tiny"],
)  # fmt: skip
def test_updates_of_the_declared_model_are_known_again(digits, perceptron, defend) -> None:
    scene, views, names = staged(digits, perceptron(), defend)
    assert likeness(scene, views, names, met_in(views, names)) > 0.97
    assert misfit(scene, views, names, met_in(views, names)) == ""


def test_another_normalisation_is_noticed(digits, perceptron) -> None:
    scene, views, names = staged(digits, perceptron(), lambda u: u, Scale(np.full(1, 0.5), np.full(1, 0.25)))
    assert likeness(scene, views, names, ()) < 0.9
    assert "normalisation" in misfit(scene, views, names, ())


def test_little_noise_is_allowed_for_and_much_noise_hides_everything(digits, perceptron) -> None:
    rng = np.random.default_rng(0)
    for deviation, told in ((0.003, True), (1.0, False)):
        scene, views, names = staged(digits, perceptron(), lambda u, s=deviation: gaussian(clip(u, 1.0), s, rng))
        met = met_in(views, names)
        assert {one.name for one in met} == {DefenceName.NOISE}
        found = likeness(scene, views, names, met)
        assert (found > 0.9) if told else math.isnan(found)
        assert misfit(scene, views, names, met) == ""
