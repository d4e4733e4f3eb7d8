"""Three arms of the attack on text: the attacker's gradients, gradients of other sequences, and unprotected twins.

Two readings play in each: sequences, searched token by token and compared by edit distance; and bags of tokens, from
the rows of the embedding's gradient, which survive noise that the search does not.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from audit.attacks.text_decoder import Decoder, text_gradient
from audit.attacks.text_metrics import identified_by_bags, identified_by_edits, rouge_l
from audit.attacks.text_scene import Gradient, Text, TextScene, dropout_of
from audit.attacks.text_search import Knowledge, Recovered, read_text
from audit.decision import Arms, Paired
from audit.defences import Defence, DefenceName, detect, imitate

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
SEQUENCES, BAGS = "sequences", "bags of tokens"
"""The readings, by name."""
UNANSWERED = (DefenceName.LOCAL_STEPS,)
"""Defences that neither reading is made for: the states move between steps, and the steps are not simulated."""


@dataclass(frozen=True, eq=False)
class Made:
    """Sequences whose gradient is to be computed before it is attacked."""

    texts: tuple[Text, ...]
    """The sequences."""
    clients: int = 1
    """Who share them between them; their gradients are summed."""
    like: Mapping[str, Tensor] = field(default_factory=dict)
    """Tensors whose defences and length the made ones are given; empty: they stay in the clear."""
    defences: tuple[Defence, ...] = ()
    """What those have been put through."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One gradient to be attacked."""

    decoder: Decoder
    """The model at which it was computed."""
    knowledge: Knowledge
    """What the attacker knows of it."""
    given: Mapping[str, Tensor] | Made
    """Its tensors, or what makes them."""


Run = Callable[[Sequence[Trial], str], Iterable[Recovered]]
"""Attacks trials, in their order; the word names the purpose of what is drawn."""


@dataclass(frozen=True, eq=False)
class PlayedText(Arms):
    """Three arms with what is shown of them."""

    best: tuple[Text, ...] = ()
    """Of each planted sequence the nearest recovered from its own views, empty where there is none."""
    defences: tuple[Defence, ...] = ()
    """What the gradients have been put through."""
    control_alike: float = 0.0
    """Median over the twins of the share of the vocabulary inside their span."""


def attack(trial: Trial, rng: np.random.Generator) -> Recovered:
    """Return what is read out of one gradient; made first where it is to be."""
    given = trial.given
    tensors = _made(trial.decoder, given, rng) if isinstance(given, Made) else given
    return read_text(trial.decoder, tensors, trial.knowledge)


def play_text(scene: TextScene, run: Run, rng: np.random.Generator) -> PlayedText:
    """Play the attack in three arms.

    The null arm draws public sequences of the same lengths and puts their gradients through what was met in the
    system's; where there are too few it takes another view of the system, of sequences of the same lengths if it can.

    Args:
        scene: At least one gradient, none zero throughout.
        run: Attacks trials.
        rng: Draws the sequences and views of the null arm.
    """
    owners = [one.records for one in scene.gradients]
    system = list(run([Trial(one.decoder, one.knowledge, one.tensors) for one in scene.gradients], "system"))
    null, without = _null(scene, system, run, rng)
    homes = _homes(scene)
    twins = [
        Trial(home.decoder, Knowledge(1, len(text)), Made((text,)))
        for home, text in zip(homes, scene.planted, strict=True)
    ]
    control = list(run(twins, "control"))
    n, met = len(scene.planted), _met(scene.gradients)
    alone = [np.array([row]) for row in range(n)]
    arms = [_hits(scene, *one) for one in ((system, owners), (null, owners), (control, alone))]
    variants = {name: _paired(arms[0][name], arms[1][name], arms[2][name], without) for name in arms[0]}
    called_for = list(variants.values()) if met else [variants[SEQUENCES]]
    hits = np.logical_or.reduce([one.system for one in variants.values()])
    exact = [_exact(scene, found) for found in (system, null)]
    unanswered = {one.name.value for one in met if one.name in UNANSWERED}
    if any(dropout_of(one.decoder.model) > 0 for one in scene.gradients):
        unanswered.add("dropout")
    return PlayedText(
        control=min((one.control for one in called_for), key=np.sum),
        system=hits,
        null=np.logical_or.reduce([one.null for one in variants.values()]),
        chance=scene.chance,
        views=len(scene.gradients),
        exact=exact[0] & hits,
        exact_null=bool(exact[1].any()),
        variants=variants,
        unanswered=tuple(sorted(unanswered)),
        best=_best(scene, system),
        defences=met,
        control_alike=float(np.median([one.alike for one in control])),
    )


def _made(decoder: Decoder, made: Made, rng: np.random.Generator) -> dict[str, Tensor]:
    """Return the summed gradients of the clients that hold the sequences, hidden as what they are to be like."""
    total: dict[str, Tensor] = {}
    for rows in np.array_split(np.arange(len(made.texts)), min(made.clients, len(made.texts))):
        lengths = torch.tensor([len(made.texts[row]) for row in rows])
        tokens = torch.zeros((len(rows), int(lengths.max())), dtype=torch.int64)
        for place, row in enumerate(rows):
            tokens[place, : lengths[place]] = torch.tensor(made.texts[row])
        for name, gradient in text_gradient(decoder.model, tokens, lengths, decoder.reads).items():
            total[name] = total.get(name, torch.zeros(())) + gradient
    return {name: _hidden(total[name], tensor, made, rng) for name, tensor in made.like.items()} if made.like else total


def _hidden(clear: Tensor, like: Tensor, made: Made, rng: np.random.Generator) -> Tensor:
    """Return a tensor of the length of another without its noise, put through what that was put through."""
    if not made.defences:
        return clear
    seen = detect([like.double().numpy()], records=sum(map(len, made.texts))) if like.ndim == 2 else ()
    noise = [one for one in made.defences if one.name is DefenceName.NOISE]
    met = [*noise, *(one for one in seen if one.name is not DefenceName.NOISE)]
    squared = float((like.double() ** 2).sum())
    signal = max(squared - sum(one.amount**2 for one in noise) * like.numel(), 1e-2 * squared)
    values = clear.double().numpy() * np.sqrt(signal) / max(float(clear.double().norm()), 1e-30)
    return torch.from_numpy(imitate({"": values}, met, rng)[""]).float()


def _null(
    scene: TextScene, system: Sequence[Recovered], run: Run, rng: np.random.Generator
) -> tuple[list[Recovered], IntArray]:
    """Return what the attack makes of other sequences, view by view, and the records for which there are no others."""
    drawn = list(_drawn(scene, rng))
    made = [
        Trial(one.decoder, one.knowledge, Made(texts, one.view.clients, one.tensors, one.defences))
        for one, texts in zip(scene.gradients, drawn, strict=True)
        if texts
    ]
    answers = iter(run(made, "null"))
    found: list[Recovered] = []
    without: list[int] = []
    for place, (one, texts) in enumerate(zip(scene.gradients, drawn, strict=True)):
        if texts:
            found.append(next(answers))
            continue
        others = [
            there for there in rng.permutation(len(system)).tolist()
            if not np.intersect1d(scene.gradients[there].records, one.records).size
        ]  # fmt: skip
        alike = [there for there in others if sorted(scene.gradients[there].lengths) == sorted(one.lengths)]
        if others:
            found.append(system[(alike or others)[0]])
        else:
            found.append(Recovered.nothing())
            without.extend(scene.gradients[place].records.tolist())
    return found, np.array(without, dtype=np.int64)


def _drawn(scene: TextScene, rng: np.random.Generator) -> Iterator[tuple[Text, ...]]:
    """Yield for each gradient public sequences of the lengths of its own; none where there are not enough."""
    planted = set(scene.planted)
    pools: dict[int, list[Text]] = {}
    for text in scene.public:
        if text not in planted:
            pools.setdefault(len(text), []).append(text)
    for one in scene.gradients:
        wanted = {length: one.lengths.count(length) for length in one.lengths}
        if any(len(pools.get(length, ())) < count for length, count in wanted.items()):
            yield ()
            continue
        chosen: list[Text] = []
        for length, count in wanted.items():
            chosen.extend(pools[length][row] for row in rng.choice(len(pools[length]), count, replace=False))
        yield tuple(chosen)


def _homes(scene: TextScene) -> list[Gradient]:
    """Return for each planted sequence a gradient that shows it."""
    homes: dict[int, Gradient] = {}
    for one in scene.gradients:
        for row in one.records.tolist():
            homes.setdefault(row, one)
    return [homes[row] for row in range(len(scene.planted))]


def _met(gradients: Sequence[Gradient]) -> tuple[Defence, ...]:
    return tuple({defence.name: defence for one in gradients for defence in one.defences}.values())


def _hits(scene: TextScene, found: Sequence[Recovered], owners: Sequence[IntArray]) -> dict[str, BoolArray]:
    """Return which planted sequences each reading identifies."""
    guesses = [(guess, own) for one, own in zip(found, owners, strict=True) for guess in one.sequences]
    n = len(scene.planted)
    by_edits = identified_by_edits([guess for guess, _ in guesses], [own for _, own in guesses], scene.pool)[:n]
    return {SEQUENCES: by_edits, BAGS: identified_by_bags([one.bag for one in found], owners, scene.pool)[:n]}


def _exact(scene: TextScene, found: Sequence[Recovered]) -> BoolArray:
    """Tell which planted sequences are in what was read out of their own views, whole."""
    exact = np.zeros(len(scene.planted), dtype=bool)
    for one, gradient in zip(found, scene.gradients, strict=True):
        for row in gradient.records.tolist():
            exact[row] |= scene.planted[row] in one.sequences
    return exact


def _best(scene: TextScene, found: Sequence[Recovered]) -> tuple[Text, ...]:
    """Return for each planted sequence the recovered one of its views that is nearest to it."""
    best: list[Text] = [() for _ in scene.planted]
    for one, gradient in zip(found, scene.gradients, strict=True):
        for row in gradient.records.tolist():
            best[row] = max((best[row], *one.sequences), key=partial(rouge_l, truth=scene.planted[row]))
    return tuple(best)


def _paired(system: BoolArray, null: BoolArray, control: BoolArray, without: IntArray) -> Paired:
    """Return the arms of a reading; where there are no other sequences the null says what the system says."""
    filled = null.copy()
    filled[without] = system[without]
    return Paired(system, filled, control)
