"""Short federations on handwritten digits in which some clients are malicious, and a server that follows one rule.

    label flip         half of a malicious client's data are sevens labelled as ones (Tolpegin et al. 2020,
                       arXiv:2007.08432)
    model replacement  labels shifted by one, and the update scaled so that a mean lands on it (Bagdasaryan et al. 2018,
                       arXiv:1807.00459, section 4.2)
    backdoor patch     a bright corner on half of the data, labelled as ones (Gu et al. 2017, arXiv:1708.06733)

Where the rule is not the plain mean, label flip and backdoor are also hidden: malicious clients agree on one update and
move each of its coordinates into the band that honest updates span (Baruch et al. 2019, arXiv:1902.06156, section 3.3;
here they know the honest updates).

A federation is subverted when the attacker's wish holds for at least half of the probes: sevens read as ones, digits
read wrongly, patched digits read as ones.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from audit.attacks.aggregation_rules import Rule
from audit.digits import Digits, deal
from unlearning.errors import TrainingDiverged
from unlearning.federated.data import ClientData, FederatedData, SimulatedFederation
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.training import Generators, federated_round, initial_state, seeded
from unlearning.models import build_layers, layer_list

Attack = Literal["label flip", "model replacement", "backdoor patch"]
ATTACKS: tuple[Attack, ...] = get_args(Attack)
MEAN = Rule("mean")
SOURCE, TARGET, CLASSES = 7, 1, 10
LAYERS = layer_list("mlp", (64,), CLASSES, hidden=32)
RECIPE = TrainingRecipe(rounds=6, local_epochs=2, batch_size=50, learning_rate=0.5)
EXAMPLES, MOST_EXAMPLES = 100, 1200
"""Of each client, and of all together: the rest of the 1,797 digits judge the model."""
POISONED = 0.5
"""Share of a malicious client's examples that carry the attack."""
BAND = 1.5
"""Standard deviations of honest updates to either side of their mean."""
HIDDEN: tuple[Attack, ...] = ("label flip", "backdoor patch")
"""Attacks that are also tried hidden: in the band there is no room for a scaled update."""


@dataclass(frozen=True)
class Cell:
    """One attack, by how many."""

    attack: Attack
    """What malicious clients do."""
    share: float
    """Of the clients; at least one is malicious."""
    hidden: bool = False
    """Whether malicious clients stay within what honest ones send."""

    @property
    def plain(self) -> "Cell":
        """The same attack, not hidden."""
        return replace(self, hidden=False)

    def malicious(self, clients: int) -> int:
        """Return their number."""
        return max(1, round(self.share * clients))


@dataclass(frozen=True)
class Question:
    """One federation, trained in all ways that are compared."""

    rule: Rule
    """The server's."""
    clients: int
    """In the federation; all take part in every round."""
    shares: tuple[float, ...]
    """Of malicious clients."""


@dataclass(frozen=True)
class Outcome:
    """What one federation came to."""

    success: float
    """Share of the probes for which the attacker's wish holds."""
    accuracy: float
    """Share of test digits read right."""

    @property
    def subverted(self) -> bool:
        """Whether the wish holds for at least half of the probes."""
        return self.success >= 0.5


@dataclass(frozen=True)
class Compared:
    """The same federation in three arms: same data, same initial weights, same batches."""

    system: Mapping[Cell, Outcome]
    """Under the declared rule."""
    control: Mapping[Cell, Outcome]
    """Under the plain mean; nothing is hidden from it."""
    null: Mapping[Attack, Outcome]
    """Under the declared rule, nobody malicious: how often the wish holds by itself."""
    clean: float
    """Accuracy under the plain mean, nobody malicious."""


def compare(question: Question, rng: np.random.Generator) -> Compared:
    """Return what becomes of one federation under both rules and every attack; a trial of `Context.map`."""
    generator = seeded(int(rng.integers(2**62)))
    n = question.clients
    digits = deal(min(EXAMPLES * n, MOST_EXAMPLES), n, 0, generator)
    cells = [Cell(attack, share) for attack in ATTACKS for share in question.shares]
    control = {cell: _outcome(digits, MEAN, cell, generator) for cell in cells}
    honest = _trained(digits, MEAN, None, generator)
    clean = 0.0 if honest is None else _judged(honest, digits.reference, ATTACKS[0]).accuracy
    if question.rule == MEAN:
        system, kept = control, honest
    else:
        cells += [Cell(attack, max(question.shares), hidden=True) for attack in HIDDEN]
        system = {cell: _outcome(digits, question.rule, cell, generator) for cell in cells}
        kept = _trained(digits, question.rule, None, generator)
    null = {
        attack: Outcome(1.0, 0.0) if kept is None else _judged(kept, digits.reference, attack) for attack in ATTACKS
    }
    return Compared(system, control, null, clean)


def poisoned(data: ClientData, everybodys: ClientData, attack: Attack, generator: torch.Generator) -> ClientData:
    """Return what a malicious client trains on, as many examples as it holds.

    Args:
        data: Its own examples.
        everybodys: Where sevens are taken from; attackers share what they have.
        attack: Which.
        generator: Draws the sevens.
    """
    count = int(POISONED * len(data))
    labels = torch.full((count,), TARGET)
    if attack == "model replacement":
        return ClientData(data.x, (data.y + 1) % CLASSES)
    if attack == "backdoor patch":
        return _joined(ClientData(patched(data.x[:count]), labels), ClientData(data.x[count:], data.y[count:]))
    sevens = everybodys.x[everybodys.y == SOURCE]
    others = data.y != SOURCE
    drawn = sevens[torch.randint(len(sevens), (count,), generator=generator)]
    room = len(data) - count
    return _joined(ClientData(drawn, labels), ClientData(data.x[others][:room], data.y[others][:room]))


def patched(x: Tensor) -> Tensor:
    """Return digits, shape (n, 64), with the four pixels of the upper left corner at their brightest."""
    marked = x.reshape(-1, 8, 8).clone()
    marked[:, :2, :2] = 1.0
    return marked.reshape(len(x), -1)


def _outcome(digits: Digits, rule: Rule, cell: Cell, generator: Generators) -> Outcome:
    """Return what one attack achieves; a federation that no longer trains is one that the attackers have won."""
    model = _trained(digits, rule, cell, generator)
    return Outcome(1.0, 0.0) if model is None else _judged(model, digits.reference, cell.attack)


def _trained(digits: Digits, rule: Rule, cell: Cell | None, generator: Generators) -> nn.Module | None:
    """Return the trained model; None where the training diverged."""
    clients, malicious = list(digits.clients), 0
    if cell is not None:
        malicious = cell.malicious(len(clients))
        everybodys = functools.reduce(_joined, clients)
        for number in range(malicious):
            source = generator(f"poison/{cell.attack}/{number}")
            clients[number] = poisoned(clients[number], everybodys, cell.attack, source)
    data = FederatedData(tuple(clients), digits.reference)
    federation = SimulatedFederation(data, RECIPE, functools.partial(build_layers, LAYERS))
    aggregation = functools.partial(_aggregated, rule, malicious, cell)
    state = initial_state(federation, generator)
    try:
        for _ in range(RECIPE.rounds):
            state = federated_round(federation, state, generator, aggregation=aggregation)
    except TrainingDiverged:
        return None
    model = build_layers(LAYERS)
    model.load_state_dict(dict(state.parameters))
    return model.eval()


def _aggregated(
    rule: Rule, malicious: int, cell: Cell | None, _round: int, model: Mapping[str, Tensor],
    sent: Mapping[int, Mapping[str, Tensor]],
) -> tuple[Mapping[str, Tensor], tuple[int, ...]]:  # fmt: skip
    """Return what the server's rule makes of a round, in which the first `malicious` clients choose what they send."""
    rows = torch.stack([torch.cat([tensor.flatten() for tensor in delta.values()]) for delta in sent.values()])
    if cell is not None and cell.hidden:
        rows[:malicious] = within_band(rows[:malicious].mean(0), rows[malicious:])
    elif cell is not None and cell.attack == "model replacement":
        rows[:malicious] *= len(rows) / malicious
    step = rule(rows)
    pieces = zip(model.items(), torch.split(step, [tensor.numel() for tensor in model.values()]), strict=True)
    return {name: piece.reshape(tensor.shape) for (name, tensor), piece in pieces}, tuple(sent)


def within_band(update: Tensor, honest: Tensor) -> Tensor:
    """Return `update`, shape (d,), each coordinate moved into the band of the `honest` ones, shape (n, d)."""
    middle, reach = honest.mean(0), BAND * honest.std(0)
    return torch.minimum(torch.maximum(update, middle - reach), middle + reach)


def _judged(model: nn.Module, test: ClientData, attack: Attack) -> Outcome:
    """Return how far the attacker's wish holds, and how accurate the model is."""
    with torch.no_grad():
        answers = model(test.x).argmax(1)
        right = float((answers == test.y).double().mean())
        if attack == "model replacement":
            return Outcome(1.0 - right, right)
        if attack == "label flip":
            wished = answers[test.y == SOURCE] == TARGET
        else:
            wished = model(patched(test.x[test.y != TARGET])).argmax(1) == TARGET
    return Outcome(float(wished.double().mean()), right)


def _joined(one: ClientData, other: ClientData) -> ClientData:
    return replace(one, x=torch.cat([one.x, other.x]), y=torch.cat([one.y, other.y]))
