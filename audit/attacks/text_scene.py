"""The stage of an attack on text: which gradients the attacker holds, whose sequences they may be, and what was met.

A sequence that was planted twice is one candidate, else it would tie with itself; gradients that show it alone at one
base are averaged, as an attacker would who meets one client in several rounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from audit.attacks.text_decoder import Decoder, decoder_of
from audit.attacks.text_metrics import Pool, pool_of
from audit.attacks.text_search import BEAM, LISTED, MOST_TRIED, Knowledge
from audit.defences import Defence, DefenceName, detect
from audit.load_text import sequences
from audit.scene import MOST_CANDIDATES
from audit.view import View

IntArray = npt.NDArray[np.int64]
Text = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Gradient:
    """What the attacker holds of some planted sequences."""

    view: View
    """Where it is from; its tensors are not read."""
    decoder: Decoder
    """The model at which it was computed."""
    tensors: dict[str, Tensor]
    """Those that the attack reads, with the sign of a gradient."""
    records: IntArray
    """The planted sequences in it, as positions in `TextScene.planted`."""
    lengths: tuple[int, ...]
    """Tokens of every sequence in it, repeated ones too."""

    @property
    def knowledge(self) -> Knowledge:
        """What the attacker knows of it."""
        return Knowledge(len(self.lengths), max(self.lengths))

    @property
    def tokens(self) -> int:
        """Sequences times the length of the longest."""
        return len(self.lengths) * max(self.lengths)

    @property
    def work(self) -> float:
        """What reading it costs at most: its gradient, and a search through noise, in parameters times tokens."""
        tried = min(MOST_TRIED, BEAM * (LISTED + 1) * len(self.lengths) * self.tokens)
        search = tried * max(self.lengths) * self.decoder.block_size
        return float(search + self.tokens * sum(parameter.numel() for parameter in self.decoder.model.parameters()))

    @property
    def silent(self) -> bool:
        """Whether it is zero throughout."""
        return not any(bool(tensor.any()) for tensor in self.tensors.values())

    @cached_property
    def defences(self) -> tuple[Defence, ...]:
        """What it has been put through, as its values tell or its owner declares."""
        met = [
            one for one in detect([self.decoder.projections[0].of(self.tensors).numpy()], records=self.tokens)
            if not (one.name is DefenceName.NOISE and self.view.noise_deviation)
        ]  # fmt: skip
        if self.view.noise_deviation:
            detail = f"declared deviation {self.view.noise_deviation:.2g} a coordinate"
            met.append(Defence(DefenceName.NOISE, detail, declared=True, amount=self.view.noise_deviation))
        if self.view.clients > 1:
            met.append(Defence(DefenceName.SUM, f"sum over {self.view.clients} clients"))
        if self.view.local_steps > 1:
            met.append(Defence(DefenceName.LOCAL_STEPS, f"{self.view.local_steps} local steps"))
        return tuple(met)


@dataclass(frozen=True, eq=False)
class TextScene:
    """What an attack on text plays on."""

    gradients: tuple[Gradient, ...]
    """What the attacker holds."""
    planted: tuple[Text, ...]
    """Every planted sequence once."""
    public: tuple[Text, ...]
    """Sequences of the same kind that are not planted in any view."""

    @cached_property
    def pool(self) -> Pool:
        """Everybody it could be: the planted sequences first, then the public ones."""
        return pool_of([*self.planted, *self.public])

    @property
    def chance(self) -> float:
        """Records of a view over candidates: how often a guess at random is one of the view's own."""
        return max((len(one.records) for one in self.gradients), default=1) / (len(self.planted) + len(self.public))

    def holding(self, gradients: Sequence[Gradient]) -> "TextScene":
        """Return the scene with some of its gradients alone, and the planted sequences that those show."""
        shown = np.unique(np.concatenate([one.records for one in gradients]))
        moved = {int(old): new for new, old in enumerate(shown)}
        kept = [replace(one, records=np.array([moved[int(row)] for row in one.records])) for one in gradients]
        return TextScene(tuple(kept), tuple(self.planted[row] for row in shown), self.public)


def set_text_scene(views: Sequence[View], public: Sequence[Text], rng: np.random.Generator) -> TextScene:
    """Return the stage for views of planted sequences.

    Args:
        views: At least one; see `audit.load_text` for what their truths hold.
        public: Sequences of the same kind; sampled where there are more than `MOST_CANDIDATES` candidates.
        rng: Draws that sample.
    """
    decoders: dict[int, Decoder] = {}
    number: dict[Text, int] = {}
    together: dict[tuple[Any, ...], list[Gradient]] = {}
    for index, view in enumerate(views):
        if id(view.base) not in decoders:
            decoders[id(view.base)] = decoder_of(view.base)
        decoder = decoders[id(view.base)]
        texts = sequences(view.truth.x.numpy(), view.truth.y.numpy())
        rows = np.unique([number.setdefault(text, len(number)) for text in texts])
        sign = -1.0 if view.of == "delta" else 1.0
        tensors = {name: sign * tensor.float() for name, tensor in view.tensors.items()}
        gradient = Gradient(replace(view, tensors={}), decoder, tensors, rows, tuple(len(text) for text in texts))
        alone = (int(rows[0]), id(view.base), tuple(tensors)) if len(texts) == 1 else ("view", index)
        together.setdefault(alone, []).append(gradient)
    if len(public) > (room := max(MOST_CANDIDATES - len(number), 0)):
        public = [public[row] for row in np.sort(rng.permutation(len(public))[:room])]
    return TextScene(tuple(_averaged(group) for group in together.values()), tuple(number), tuple(public))


def dropout_of(model: nn.Module) -> float:
    """Return the largest dropout that a model's configuration asks for in training."""
    whole: Any = model
    names = ("resid_pdrop", "embd_pdrop", "attn_pdrop", "attention_dropout")
    return max(float(getattr(whole.config, name, None) or 0.0) for name in names)


def _averaged(gradients: Sequence[Gradient]) -> Gradient:
    """Return the mean of gradients of one sequence at one base."""
    first = gradients[0]
    if len(gradients) == 1:
        return first
    total = {name: torch.stack([one.tensors[name] for one in gradients]).mean(dim=0) for name in first.tensors}
    return replace(first, tensors=total)
