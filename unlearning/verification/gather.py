"""The models that a verification rests on: trained once, asked once, and handed to every test as answers.

    recipe and data ─▶ references    N   the method on retrained models, nothing to forget: they decide
                    ├▶ strict        N   retrained by the recipe alone: shown beside
                    ├▶ control       O   more references: what the tests say where there is nothing to see
                    ├▶ originals     O   the method on models that saw it all, nothing to forget: what a test must see
                    └▶ unlearned     O   the method as it was asked, over seeds
    owner's files   ─▶ supplied          where there is no recipe: an owner's word, screening at most

Which models are trained is a function of root seed, request id and purpose alone, so that any two who verify the same
request with the same seed train the same models.
"""

import copy
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from reports.executor import Executor, Serial
from reports.model import Effort
from unlearning.errors import UnlearningError
from unlearning.federated.data import ClientData
from unlearning.federated.delivered import Delivered
from unlearning.federated.local import logits_of
from unlearning.federated.methods import Method
from unlearning.federated.methods.retrain import FineTune, Retrain
from unlearning.federated.neighbours import nearest_retained, without_copies
from unlearning.federated.oracles import Kind, OracleCache, OraclePool, Progress, Questions, engine_for, model_seeds
from unlearning.federated.rounds import Stack, one_of, stacked
from unlearning.federated.schedule import delivered_rounds, matched_rounds
from unlearning.federated.twins import label_matched
from unlearning.models import initialise
from unlearning.verification.answers import Answers, Logits, Part
from unlearning.verification.evidence import Evidence, Reference, Sides
from unlearning.verification.independence import copies
from unlearning.verification.relearning import Relearning, relearning
from unlearning.verification.scores import Array, logit_confidence
from unlearning.verification.thresholds import planned_models

__all__ = ["gather"]

MOST_RETAINED = 1_000
"""Retained examples that models are asked about, evenly spaced: accuracy needs no more."""
ELSEWHERE: tuple[Part, ...] = ("retain", "test")
"""Parts that unlearned models and controls are asked about at effort full."""
SAME_ANSWERS = 1e-5
"""Logits that differ by no more are one model's, whatever the order of its hidden units."""


def gather(
    delivered: Delivered,
    *,
    effort: Effort,
    seed: int,
    executor: Executor | None = None,
    cache: OracleCache | None = None,
    models: int | None = None,
    report_progress: Progress | None = None,
) -> Evidence:
    """Return the evidence on one delivered model.

    Args:
        delivered: The request, what was delivered for it, and whatever allows to train it again.
        effort: How many models are trained: a few references at smoke, all sets from standard on.
        seed: Root seed of the run.
        executor: Runs the trials.
        cache: Keeps trained models; the auditor's, never the owner's.
        models: References to train; None for what the effort says, 0 to take the owner's oracles and train none.
        report_progress: Told (done, total) of each set.

    Raises:
        UnlearningError: There is no delivered model or no forget set, or the model gives no finite answers.
        unlearning.errors.TrainingDiverged: The recipe, or the method, does not train.
    """
    asked = _Questioner(delivered)
    after = asked.answers(stacked([asked.state]))
    if not all(np.isfinite(logits).all() for logits in after.logits.values()):
        told = f"{delivered.declared.id}: the delivered model gives answers that are no finite numbers"
        raise UnlearningError("unlearning.outputs", told, "Deliver a model with finite weights.")
    found = Evidence(
        delivered.declared.id, seed, effort, Reference("none", 0), after,
        before=None if delivered.before is None else asked.answers(stacked([delivered.before])),
        untrained=asked.answers(stacked([asked.untrained(seed)])),
        twin_matched=delivered.twin is not None and label_matched(asked.forget, delivered.twin),
        neighbours_declared=delivered.neighbours is not None,
        owner_code=delivered.owner_code,
    )  # fmt: skip
    questions = _questions(delivered)
    if questions is None or models == 0:
        return _with_supplied(found, asked, delivered)
    pool = OraclePool(questions, executor or Serial(), cache, report_progress)
    found = replace(found, engine=engine_for(questions.federation, (0,), questions.engine).name)
    return _with_trained(found, asked, pool, delivered, *planned_models(effort, models))


def _with_trained(
    found: Evidence, asked: "_Questioner", pool: OraclePool, delivered: Delivered, references: int, others: int
) -> Evidence:
    """Add what the auditor trains."""
    questions, known = pool.questions, delivered.method is not None
    lines = None if delivered.header is None else delivered_rounds(delivered.rounds, delivered.kept)
    if known:
        reference = Reference("matched", references, rounds=matched_rounds(questions), delivered_rounds=lines)
    else:  # as many rounds as declared, by construction; but a training from the start must be the recipe's
        trained = questions.federation.recipe.rounds if lines and lines.train else 0
        behind = None if lines is None else replace(lines, train=trained)
        reference = Reference("strict", references, rounds=behind, delivered_rounds=lines)

    def seeds(purpose: str, models: int) -> tuple[int, ...]:
        return model_seeds(found.seed, f"{found.id}/{purpose}", models)

    differs = others > 0 and known and questions.method.name != Retrain.name
    sides = pool.without(seeds("references", references), ("retrained", "matched") if differs else ("matched",))
    found = replace(found, reference=reference, references=asked.answers(sides["matched"]))
    if not others:
        return found
    control = pool.without(seeds("control", others), ("matched",))["matched"]
    wanted: dict[Kind, bool] = {"trained": differs, "originals": True, "unlearned": known}
    holding = pool.holding(seeds("originals", others), tuple(kind for kind, here in wanted.items() if here))
    if found.effort is Effort.FULL and known:
        found = replace(
            found,
            elsewhere=asked.elsewhere(holding["unlearned"], control),
            relearning=_relearnt(found, asked, delivered, sides["matched"], holding["originals"]),
        )
    return replace(
        found,
        strict=asked.scores(sides["retrained"]) if differs else None,
        strict_originals=asked.scores(holding["trained"]) if differs else None,
        control=asked.scores(control),
        originals=asked.scores(holding["originals"]),
        unlearned=asked.scores(holding["unlearned"]) if known else None,
    )


def _relearnt(
    found: Evidence, asked: "_Questioner", delivered: Delivered, references: Stack, originals: Stack
) -> Relearning | None:
    """Return how quickly the delivered model learns the forget set again, beside references and originals."""
    if delivered.federation is None or delivered.before is None:
        return None
    (seed,) = model_seeds(found.seed, f"{found.id}/relearning", 1)
    return relearning(
        delivered.federation, asked.forget, before=delivered.before, delivered=asked.state, references=references,
        originals=originals, seed=seed,
    )  # fmt: skip


def _with_supplied(found: Evidence, asked: "_Questioner", delivered: Delivered) -> Evidence:
    """Add the oracles that the owner supplied, but for copies."""
    if not delivered.oracles:
        return found
    names = [artifact.path for artifact in delivered.declared.oracles]
    if len(names) != len(delivered.oracles):
        names = [f"oracle {place + 1}" for place in range(len(delivered.oracles))]
    dropped = copies(asked.state, delivered.oracles, asked.weights)
    answers = asked.answers(stacked(delivered.oracles))
    for place in range(len(answers)):
        gap = float(np.abs(answers.logits["forget"][place] - found.after.logits["forget"][0]).max())
        if place not in dropped and gap <= SAME_ANSWERS:
            dropped[place] = "answers as the delivered model does"
    kept = np.array([place for place in range(len(answers)) if place not in dropped], dtype=np.int64)
    told = tuple(f"{names[place]}: {why}" for place, why in sorted(dropped.items()))
    reference = Reference("supplied", len(kept), "owner", dropped=told)
    return replace(found, reference=reference, references=answers.some(kept) if len(kept) else None)


def _questions(delivered: Delivered) -> Questions | None:
    """Return what oracles would be asked of; None where nobody says how the federation trains."""
    federation, split = delivered.federation, delivered.split
    if federation is None or split is None or not split.forget:
        return None
    method: Method | None = delivered.method
    if method is None:  # nobody here knows it: the recipe, and the declared rounds of retained training after it
        behind = delivered_rounds(delivered.rounds, delivered.kept)
        extra = behind.min + behind.post
        method = FineTune(rounds=extra) if extra else Retrain()
    offline = frozenset(() if delivered.header is None else delivered.header.offline)
    return Questions(federation, split, method, delivered.kept, offline, delivered.holdout)


class _Questioner:
    """Asks models about the parts of the data that there are."""

    def __init__(self, delivered: Delivered) -> None:
        if delivered.after is None or delivered.forget is None or delivered.module is None:
            told = f"{delivered.declared.id}: there is no delivered model, or no forget set, to verify"
            raise UnlearningError("unlearning.nothing-delivered", told, "Declare [model], after and forget.")
        self.state, self.forget, self.module = delivered.after, delivered.forget, delivered.module
        self.weights = frozenset(name for name, _ in self.module.named_parameters())
        self._engine = None if delivered.federation is None else engine_for(delivered.federation, (0,))
        self._parts = {part: data for part, data in _parts(delivered).items() if data is not None and len(data)}
        self._labels = {part: data.y.numpy() for part, data in self._parts.items()}

    def answers(self, models: Stack) -> Answers:
        """Return what models say of all parts."""
        return Answers({part: self._logits(models, data.x) for part, data in self._parts.items()}, self._labels)

    def scores(self, models: Stack) -> Array:
        """Return the models' scores of the forget set, shape (M, n)."""
        return logit_confidence(self._logits(models, self.forget.x), self._labels["forget"])

    def elsewhere(self, unlearned: Stack, control: Stack) -> dict[Part, Sides]:
        """Return the scores of other examples than those to be forgotten, by part."""

        def scores(models: Stack, part: Part) -> Array:
            return logit_confidence(self._logits(models, self._parts[part].x), self._labels[part])

        parts = [part for part in ELSEWHERE if part in self._parts]
        return {part: Sides(scores(unlearned, part), scores(control, part)) for part in parts}

    def untrained(self, seed: int) -> Mapping[str, Tensor]:
        """Return the state dict of a model that has learnt nothing."""
        return initialise(copy.deepcopy(self.module), torch.Generator().manual_seed(seed % 2**63)).state_dict()

    def _logits(self, models: Stack, x: Tensor) -> Logits:
        if self._engine is not None:
            return self._engine.logits(models, x).numpy()
        module = copy.deepcopy(self.module)
        count = len(next(iter(models.values())))
        return torch.stack([logits_of(module, one_of(models, place), x) for place in range(count)]).numpy()


def _parts(delivered: Delivered) -> dict[Part, ClientData | None]:
    """Return the examples of each part."""
    retained = delivered.retain
    return {
        "forget": delivered.forget, "twin": delivered.twin, "test": delivered.test, "probes": delivered.probes,
        "retain": None if retained is None else _spaced(retained, MOST_RETAINED),
        "neighbours": _neighbours(delivered),
    }  # fmt: skip


def _neighbours(delivered: Delivered) -> ClientData | None:
    """Return the neighbours of the forget set: those declared, else the nearest of the retained."""
    forget, retained = delivered.forget, delivered.retain
    if forget is None or not len(forget):
        return None
    if delivered.neighbours is not None:
        return without_copies(delivered.neighbours, forget)
    return nearest_retained(forget, retained) if retained is not None and len(retained) else None


def _spaced(data: ClientData, most: int) -> ClientData:
    """Return at most so many examples, evenly spaced."""
    if len(data) <= most:
        return data
    return data.take(np.linspace(0, len(data) - 1, most).round().astype(np.int64))
