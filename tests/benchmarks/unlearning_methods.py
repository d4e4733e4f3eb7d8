"""All methods beside one another, on one planted case: what they cost, what is left of the forgotten, what still works.

On digits each figure is of N models a side, trained from as many seeds; on MNIST of one delivered model, and of few
retrained ones beside it. `seconds` is the CPU time of the delivered model on one thread.
"""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor
from unlearning_cases import Case
from unlearning_pools import Pools, Trained, delivered, with_history
from unlearning_rows import Record

from unlearning.federated.data import ClientData
from unlearning.federated.engine import Sequential
from unlearning.federated.methods import Method, UnlearningResult, method
from unlearning.federated.oracles import code_digest, model_seeds
from unlearning.federated.rounds import Stack, train_models
from unlearning.verification.distance import js_ratio
from unlearning.verification.forgetting_quality import forgetting_quality
from unlearning.verification.likelihood_ratio import u_lira
from unlearning.verification.rank import rank_test
from unlearning.verification.scores import Array

CODE = code_digest()[:12]
"""Of the code that trains, as it was when this was imported."""
DELIVERED = 16
"""Models of a side, each held as the delivered one against the references."""
FLOOR, STRICT = 8, 32
"""Retrained models that distances are measured to, and that unlearned ones are told from, whatever their rounds."""


@dataclass(frozen=True)
class Contender:
    """A method with its parameters, under the name that the table has for it."""

    label: str
    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def method(self) -> Method:
        """Return it."""
        return method(self.name, **self.parameters)


DIRECTED = tuple(Contender(f"ffum {name}", "ffum", {"divergence": name}) for name in ("kl", "js", "chi2"))
"""f-FUM as it comes, down three divergences."""
ASKED = (
    Contender("no-op", "no-op"),
    Contender("finetune", "finetune"),
    *DIRECTED,
    Contender("ffum kl, reset", "ffum", {"reset": "init"}),
    Contender("rapid-retrain", "rapid-retrain"),
    Contender("retrain", "retrain"),
)
"""Methods that the targets ask about."""
RIVALS = (
    Contender("ffum kl undirected", "ffum", {"direction": "none"}),
    Contender("ascent", "ascent"),
    Contender("projected-ascent", "projected-ascent"),
    Contender("federaser", "federaser"),
    Contender("distillation", "distillation"),
    Contender("negation", "negation"),
    Contender("momentum-degradation", "momentum-degradation"),
    Contender("rewind", "rewind"),
)
CONTENDERS = {
    "digits": (
        *ASKED,
        Contender("ffum kl, reset, lr .3", "ffum", {"reset": "init", "lr_min": 0.3}),
        Contender("ffum kl, reset, short", "ffum", {"reset": "init", "alpha": 0.5, "lr_min": 0.2, "rounds": 4}),
        Contender("rapid-retrain, 5 rounds", "rapid-retrain", {"rounds": 5}),
        Contender("ffum chi2 6 x 4", "ffum", {"divergence": "chi2", "rounds": 6, "max_epochs": 4}),
        *RIVALS,
    ),
    "mnist": (
        Contender("ffum kl 2 + 1", "ffum", {"rounds": 2, "post_rounds": 1}),
        Contender("ffum kl 3 + 0", "ffum", {"rounds": 3, "post_rounds": 0}),
        *ASKED,
        *RIVALS,
    ),
}
"""By source; beside the methods as they come, settings that the specification's tables name, or that save work."""


class Many:
    """One case with `models` models a side, trained when they are first asked for."""

    def __init__(self, case: Case, models: int, *, updates: bool) -> None:
        self.case = case
        self.pools = Pools(case, models, updates=updates)

    @cached_property
    def one(self) -> Trained:
        """The model that delivered ones are made from."""
        return with_history(Sequential(self.case.federation, (self.case.seed,)), everybody(self.case))

    def row(self, each: Contender) -> Record:
        """Return what is found of one method."""
        asked = each.method()
        row, result = _delivered(self.case, asked, self.one)
        kept = result.kept if asked.name == "ffum" else None
        sides = {side: self.pools.made(asked, side, kept) for side in ("unlearned", "matched", "originals")}
        return row | _visible(self.case, self.before, sides["unlearned"], self.floor) | self._told(sides)

    @cached_property
    def before(self) -> Trained:
        """Models that methods start from."""
        return self.pools.first("unlearned", DELIVERED)

    @cached_property
    def floor(self) -> Stack:
        """The retrained models that distances are measured to."""
        return self.pools.first("floor", FLOOR).models.tensors

    @cached_property
    def strict(self) -> Array:
        """Scores by retrained models, whatever the rounds of those that are told from them."""
        return self.pools.scores(self.pools.first("strict", STRICT).models.tensors)

    def _told(self, sides: Mapping[str, Stack]) -> Record:
        """Return how well the sides can be told from one another."""
        scores = {side: self.pools.scores(stack) for side, stack in sides.items()}
        rng = np.random.default_rng(self.case.seed)
        found = u_lira(scores["unlearned"], scores["matched"], rng=rng)
        level = 1 / (self.pools.models + 1)
        ranks = [
            rank_test(one, scores["matched"], scores["originals"], level=level)
            for one in scores["unlearned"][:DELIVERED]
        ]
        shares = [rank.residual_share for rank in ranks if rank.residual_share is not None]
        return {
            "models": self.pools.models, "auc": found.auc, "auc_low": found.interval.low,
            "auc_high": found.interval.high, "tpr_at_1_percent": found.tpr_at_1_percent,
            "exposed_share": found.exposed_share, "strict_auc": u_lira(scores["unlearned"], self.strict, rng=rng).auc,
            "quality": forgetting_quality(scores["unlearned"], scores["matched"]).score,
            "share": statistics.fmean(shares) if shares else None,
            "rejected": sum(rank.rejected for rank in ranks), "asked": len(ranks), "power": ranks[0].power,
        }  # fmt: skip


class Few:
    """One case with one delivered model, and few retrained ones, trained when they are first asked for."""

    def __init__(self, case: Case, oracles: int) -> None:
        self.case, self.oracles = case, oracles

    @cached_property
    def one(self) -> Trained:
        """The model that delivered ones are made from."""
        return with_history(Sequential(self.case.federation, (self.case.seed,)), everybody(self.case))

    @cached_property
    def floor(self) -> Stack:
        """The retrained models."""
        engine = Sequential(self.case.federation, model_seeds(self.case.seed, "matched", self.oracles))
        return train_models(engine, dict(enumerate(self.case.split.retain)), self.case.federation.recipe).tensors

    def row(self, each: Contender) -> Record:
        """Return what is found of one method."""
        row, result = _delivered(self.case, each.method(), self.one)
        seen = _visible(self.case, self.one, result.models.tensors, self.floor)
        return row | seen | {"models": 1, "oracles": self.oracles}


def _delivered(case: Case, asked: Method, one: Trained) -> tuple[Record, UnlearningResult]:
    """Return what one delivered model cost, and itself."""
    begun = time.process_time()
    result = delivered(case, asked, one)
    seconds, work = time.process_time() - begun, result.models.work.example_gradients
    ratio = case.retrain_work / work if work else None
    told = {"code": CODE, "planted": case.planted.planted, "forget": len(case.split.forgotten)}
    return told | {"work": work, "work_ratio": ratio, "seconds": round(seconds, 3), "kept": result.kept}, result


def _visible(case: Case, trained: Trained, after: Stack, floor: Stack) -> Record:
    """Return accuracies, probe rates and distances over the floor, means over the models."""
    engine, data, before = trained.engine, case.planted.data, trained.models.tensors
    forgotten, retained = case.split.forgotten, case.split.retained
    found: Record = {}
    for name, stack in (("before", before), ("after", after)):
        for what, examples in (("test", data.test), ("forget", forgotten), ("retain", retained)):
            found[f"{what}_{name}"] = accuracy(engine.logits(stack, examples.x), examples)
        if data.probes is not None:
            found[f"probe_{name}"] = accuracy(engine.logits(stack, data.probes.x), data.probes)
    if data.probes is not None:
        found["probe_retrained"] = accuracy(engine.logits(floor, data.probes.x), data.probes)
    for what, examples in (("forget", forgotten), ("test", data.test)):
        answers = engine.logits(after, examples.x)[:FLOOR].numpy()
        oracles = engine.logits(floor, examples.x).numpy()
        found[f"js_{what}"] = statistics.fmean(js_ratio(each, oracles).value for each in answers)
    return found


def accuracy(logits: Tensor, examples: ClientData) -> float:
    """Return the share of right answers, over all models."""
    return float((logits.argmax(-1) == examples.y).double().mean())


def everybody(case: Case) -> dict[int, ClientData]:
    """Return what each client trains on before anything is forgotten."""
    return dict(enumerate(case.federation.data.clients))
