"""Shadows for a declared model: by which recipe, how many, on which records, and those of a twin that leaks.

The twin is the system's own model, trained by heart on a part of the same records of which a quarter bear a wrong
label: such a label can only be known from memory, so the attack must find at least a good part of that quarter. Its
shadows are trained likewise, and are as many.

Where public records are declared, as many shadows again are trained on those alone: they need no record of anybody who
is judged, which is all that most attackers have.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from audit.attacks.membership_scores import Scored
from audit.attacks.shadow import Recipe, Splits, halves, scores, train_many
from reports.model import Effort, System

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

TOGETHER = 8
"""Shadows that are trained as one program; the next eight are another trial."""
LARGEST_STACK = 1 << 26
"""Numbers in the parameters of one stack, clients of a round counted."""
SHADOWS = {Effort.SMOKE: 4, Effort.STANDARD: 16, Effort.FULL: 128}
"""Shadow models, by effort."""
WORK = {Effort.SMOKE: 1e11, Effort.STANDARD: 1e12, Effort.FULL: 3e13}
"""Floating-point operations that training all shadows may take, by effort; a laptop does 1e10 a second."""
STEP = 2e7
"""Operations that the overhead of one step of a program is worth, so that many small steps are counted, too."""
LEAST_RECORDS = 400
"""Records that are kept, however much their training costs."""
DEFAULT = Recipe(local_epochs=50, batch_size=32, learning_rate=0.1)
"""Where the system does not say how it trains."""
BY_HEART = Recipe(local_epochs=60, batch_size=32, learning_rate=1e-2, optimiser="adam")
"""How the twin that leaks is trained."""
CONTROL_RECORDS = 500
"""Records that the twin and its shadows choose from, at most."""
PUBLIC_SHARE = 0.75
"""Most of the public records that one shadow is trained on, so that no two learn from the same."""
MISLABELLED = 0.25
"""Share of them that bears a wrong label."""


@dataclass(frozen=True, eq=False)
class Records:
    """What is known of everybody who may have been trained on."""

    x: Tensor
    """As the model takes them, shape (n, *input_shape)."""
    y: Tensor
    """Labels, int64, shape (n,)."""
    member: BoolArray
    """Who was, shape (n,)."""

    def take(self, chosen: npt.NDArray[np.int64]) -> "Records":
        """Return the records at `chosen`."""
        return Records(self.x[chosen], self.y[chosen], self.member[chosen])


@dataclass(frozen=True, eq=False)
class Trial:
    """Shadows that are trained as one program, and scored on all records."""

    model: nn.Module
    """The architecture."""
    splits: Splits
    """Records, and who is trained on whom."""
    recipe: Recipe
    """How."""
    device: str
    """Where, as torch names it."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What will be trained."""

    records: Records
    """Those that are judged."""
    member: BoolArray
    """Whom each shadow is trained on, shape (S, n)."""
    recipe: Recipe
    """How the shadows are trained."""
    control: Records
    """Those of the twin: some labels are wrong, and `member` is the twin's."""
    control_member: BoolArray
    """Whom each shadow of the twin is trained on, the twin itself last, shape (S + 1, m)."""
    control_recipe: Recipe
    """How the twin and its shadows are trained."""
    cut: str
    """What the budget left out, a sentence; empty where nothing."""
    public: Splits | None = None
    """Shadows trained on public records alone, which follow `records` here; None where there are none."""
    control_public: Splits | None = None
    """The same for the twin, after `control`; a quarter of the public labels is wrong, too."""


def declared_recipe(system: System) -> Recipe | None:
    """Return how a system says that it trains; None where it gives no rounds or no learning rate."""
    federation = system.federation
    if federation is None or federation.rounds is None or federation.learning_rate is None:
        return None
    privacy = federation.differential_privacy
    by_client = privacy is not None and privacy.unit == "client" and privacy.clipping_norm is not None
    return Recipe(
        rounds=federation.rounds,
        local_epochs=federation.local_epochs or (federation.local_steps or 1),  # steps may need as many epochs
        batch_size=federation.batch_size or DEFAULT.batch_size,
        learning_rate=federation.learning_rate,
        local_steps=federation.local_steps,
        clients=federation.clients or 1,
        clients_per_round=federation.clients_per_round or 0,
        clipping_norm=privacy.clipping_norm if privacy and by_client else None,
        noise_multiplier=(privacy.noise_multiplier or 0.0) if privacy and by_client else 0.0,
    )


def planned(
    model: nn.Module,
    records: Records,
    recipe: Recipe,
    effort: Effort,
    rng: np.random.Generator,
    public: Records | None = None,
) -> Plan:
    """Return what an effort allows to train.

    Args:
        model: Gives logits for `records.x`.
        records: Everybody.
        recipe: How the system trains.
        effort: Sets the number of shadows and the work; records, then rounds, are cut to what fits.
        rng: Draws records, halves and wrong labels.
        public: Labelled records of the same kind that are not among `records`; as many shadows again learn from them.
    """
    shadows, each = SHADOWS[effort], 3 * operations(model, records.x[:1])  # backward costs twice a forward pass
    everybody, cut = len(records.y), ""
    times = 1 if public is None else 2  # as many shadows on public records, of as many at most
    cost = times * _cost(recipe, everybody // 2, shadows, each)
    if cost > WORK[effort]:
        kept = min(everybody, max(LEAST_RECORDS, int(everybody * WORK[effort] / cost)))
        records = _sample(records, kept, rng)
        rest = times * _cost(recipe, kept // 2, shadows, each)
        rounds = max(1, int(recipe.rounds * min(1.0, WORK[effort] / rest)))
        cut = f"the shadows trained on records drawn from {kept} of {everybody}, for {rounds} of {recipe.rounds} rounds"
        recipe = replace(recipe, rounds=rounds)
    classes = _classes(model, records.x[:1])
    control = _mislabelled(_sample(records, CONTROL_RECORDS, rng), classes, rng)
    among = halves(shadows + 1, len(control.y), rng)
    one_epoch = times * _cost(replace(BY_HEART, local_epochs=1), len(control.y) // 2, shadows + 1, each)
    by_heart = replace(BY_HEART, local_epochs=min(BY_HEART.local_epochs, max(1, int(WORK[effort] / one_epoch))))
    control = replace(control, member=among[-1])
    plan = Plan(records, halves(shadows, len(records.y), rng), recipe, control, among, by_heart, cut)
    if public is None:
        return plan
    own, twins = apart(records, public, shadows, rng), apart(control, _mislabelled(public, classes, rng), shadows, rng)
    return replace(plan, public=own, control_public=twins)


def apart(records: Records, public: Records, shadows: int, rng: np.random.Generator) -> Splits:
    """Return splits of `records`, then public ones, in which shadows are trained on public ones alone.

    On as many as half of `records` where there are enough, each on its own draw.

    Args:
        records: Those that are judged.
        public: At least two, none of them among `records`.
        shadows: How many.
        rng: Draws who is trained on whom.
    """
    wanted = len(records.y) // 2
    drawn = public.take(rng.permutation(len(public.y))[: 2 * wanted])
    each = max(1, min(wanted, int(PUBLIC_SHARE * len(drawn.y))))
    member = np.zeros((shadows, len(records.y) + len(drawn.y)), dtype=bool)
    for shadow in range(shadows):
        member[shadow, len(records.y) + rng.permutation(len(drawn.y))[:each]] = True
    return Splits(torch.cat([records.x, drawn.x]), torch.cat([records.y, drawn.y]), member)


def trials(model: nn.Module, splits: Splits, recipe: Recipe, device: str) -> list[Trial]:
    """Return the trainings of all splits, at most `TOGETHER` shadows in each."""
    size = sum(parameter.numel() for parameter in model.parameters())
    together = max(1, min(TOGETHER, LARGEST_STACK // (recipe.participants * max(size, 1))))
    starts = range(0, len(splits.member), together)
    parts = [replace(splits, member=splits.member[start : start + together]) for start in starts]
    return [Trial(model, part, recipe, device) for part in parts]


def trained(trial: Trial, rng: np.random.Generator) -> Array:
    """Return the scores of all records of a trial under its shadows, shape (S, n); NaN where a training diverged."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    splits = replace(trial.splits, x=trial.splits.x.to(trial.device), y=trial.splits.y.to(trial.device))
    return scores(train_many(trial.model, splits, trial.recipe, generator), splits.x, splits.y)


def scored(
    target: Array, member: BoolArray, shadow: Array, shadow_member: BoolArray, public: Array | None = None
) -> Scored:
    """Return scores with those of the shadows that did not diverge; see `Scored` for the shapes."""
    sound = np.isfinite(shadow).all(axis=1)
    kept = None if public is None else public[np.isfinite(public).all(axis=1)]
    if not sound.any():
        return Scored(target, member, public=kept)
    return Scored(target, member, shadow[sound], shadow_member[sound], kept)


def operations(model: nn.Module, x: Tensor) -> int:
    """Return the floating-point operations of one forward pass of `x`, shape (1, *input_shape), counted by torch."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    return max(int(counter.get_total_flops()), *(parameter.numel() for parameter in model.parameters()), 1)


def _cost(recipe: Recipe, records: int, shadows: int, each: int) -> float:
    """Return the operations of training so many shadows on so many records, `each` a gradient of one record."""
    programs = -(-shadows // TOGETHER)
    return shadows * float(each) * recipe.gradients(records) + programs * STEP * recipe.steps(records)


def _sample(records: Records, most: int, rng: np.random.Generator) -> Records:
    """Return at most so many records, members and non-members as near to half and half as there are."""
    if len(records.y) <= most:
        return records
    members, others = np.flatnonzero(records.member), np.flatnonzero(~records.member)
    taken = min(len(members), max(most // 2, most - len(others)))
    chosen = [rng.permutation(members)[:taken], rng.permutation(others)[: most - taken]]
    return records.take(np.sort(np.concatenate(chosen)))


def _mislabelled(records: Records, classes: int, rng: np.random.Generator) -> Records:
    """Return the records with a wrong label on a random `MISLABELLED` of them."""
    wrong = rng.permutation(len(records.y))[: round(MISLABELLED * len(records.y))]
    y = records.y.clone()
    y[wrong] = (y[wrong] + torch.from_numpy(rng.integers(1, classes, len(wrong)))) % classes
    return replace(records, y=y)


def _classes(model: nn.Module, x: Tensor) -> int:
    """Return the number of labels that a model tells apart; two where it gives one logit."""
    with torch.no_grad():
        output = model(x)
    return max(2, output.shape[-1] if output.ndim == 2 else 1)
