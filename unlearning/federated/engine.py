"""The sequential engine: model after model, client after client, in plain torch; what all else is measured by."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unlearning.federated.contributions import Generators
from unlearning.federated.data import ClientData, SimulatedFederation
from unlearning.federated.local import Work, logits_of
from unlearning.federated.rounds import Models, Phase, RoundOutcome, Stack, less, norms, one_of, stacked
from unlearning.federated.training import RoundRecord, State, federated_round, initial_state, seeded

__all__ = ["Sequential"]


@dataclass(frozen=True, eq=False)
class Sequential:
    """Trains models one after another; on one thread of one processor, to the bit the same each time."""

    federation: SimulatedFederation
    """Whose models they are."""
    seeds: tuple[int, ...]
    """Of each model's generators."""
    name: str = "sequential"
    """What a measurement's method calls it."""

    def __len__(self) -> int:
        return len(self.seeds)

    def generators(self) -> Sequence[Generators]:
        """Return each model's generators."""
        return [seeded(seed) for seed in self.seeds]

    def initial(self, prefix: str = "") -> Models:
        """Return untrained models."""
        states = [initial_state(self.federation, _under(prefix, one)) for one in self.generators()]
        return Models(stacked([state.parameters for state in states]))

    def round(self, models: Models, phase: Phase, *, record: bool = False) -> tuple[Models, RoundOutcome]:
        """Return the models after one more round, and what it did; errors as `federated_round`."""
        states, records = [], []
        for model, generator in enumerate(self.generators()):
            state = State(
                one_of(models.tensors, model),
                models.rounds,
                None if models.velocity is None else one_of(models.velocity, model),
            )
            local = replace(
                phase.local,
                teacher=None if phase.teacher is None else one_of(phase.teacher, model),
                radius=None if phase.radius is None else float(phase.radius[model]),
            )
            told: list[RoundRecord] = []
            state = federated_round(
                self._of(phase), state, _under(phase.prefix, generator),
                recorder=told.append, local=local,
            )  # fmt: skip
            states.append(state)
            records.extend(told)
        velocities = [state.velocity for state in states if state.velocity is not None]
        tensors = stacked([state.parameters for state in states])
        after = Models(
            tensors, models.rounds + 1, stacked(velocities) if velocities else None,
            models.work + _mean_work([state.work for state in states]),
        )  # fmt: skip
        return after, _outcome(records, norms(less(tensors, models.tensors)), record)

    def logits(self, stack: Stack, x: Tensor) -> Tensor:
        """Return each model's logits, shape (M, n, C)."""
        module = self.federation.build_model(torch.Generator())
        models = len(next(iter(stack.values())))
        return torch.stack([logits_of(module, one_of(stack, model), x) for model in range(models)])

    def _of(self, phase: Phase) -> SimulatedFederation:
        """Return the federation of one round: its clients hold what they train on in it."""
        holders = phase.holders()
        like = self.federation.data.test
        nothing = ClientData(like.x[:0], like.y[:0])
        clients = tuple(holders.get(client, nothing) for client in range(max(holders, default=-1) + 1))
        data = replace(self.federation.data, clients=clients)
        return replace(self.federation, data=data, recipe=phase.recipe)


def _under(prefix: str, generator: Generators) -> Generators:
    """Return the same generators with a prefix before every purpose."""
    return (lambda purpose: generator(prefix + purpose)) if prefix else generator


def _mean_work(works: Sequence[Work]) -> Work:
    """Return what a model cost, on average."""
    return Work(
        round(sum(work.example_gradients for work in works) / len(works)),
        round(sum(work.teacher_forwards for work in works) / len(works)),
    )


def _outcome(records: Sequence[RoundRecord], update_norms: Tensor, record: bool) -> RoundOutcome:
    """Return what the rounds of all models did, as one."""
    clients = sorted({client for one in records for client in one.participants})
    weights = {
        client: torch.tensor(
            [dict(zip(one.participants, one.weights, strict=True)).get(client, 0.0) for one in records],
            dtype=torch.float64,
        )
        for client in clients
    }
    deltas = {}
    if record:
        for client in clients:
            each = [dict(zip(one.participants, one.deltas, strict=True)) for one in records]
            deltas[client] = stacked(
                [
                    found.get(client) or {name: torch.zeros_like(tensor) for name, tensor in one.before.items()}
                    for found, one in zip(each, records, strict=True)
                ]
            )
    return RoundOutcome(
        weights=weights,
        losses=_weighted([one.losses for one in records], records),
        capped=_weighted([one.capped for one in records], records),
        update_norms=update_norms,
        noise=records[0].noise_standard_deviation,
        deltas=deltas,
    )


def _weighted(values: Sequence[Sequence[float]], records: Sequence[RoundRecord]) -> Tensor:
    """Return each model's mean over its clients, weighted as their updates."""
    means = [
        sum(value * weight for value, weight in zip(mine, one.weights, strict=True))
        for mine, one in zip(values, records, strict=True)
    ]
    return torch.tensor(means, dtype=torch.float64)
