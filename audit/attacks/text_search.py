"""Token sequences from the gradients of two value projections.

Each position is asked for the tokens whose embedding lies in the first block's span, each prefix for those of them
after which the second block's input lies in its span: a wrong token, or a right one in the wrong place, does not
(DAGER, Petrov et al. 2024, arXiv:2405.15586, section 5). The last token is predicted, but no loss looks at what the
blocks make of it: `audit.attacks.text_endings` finds it.
"""

import copy
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from audit.attacks.text_decoder import Decoder
from audit.attacks.text_endings import last_tokens
from audit.attacks.text_span import Span, span_of

SMALL_WIDTH = 512
"""Narrower models are given the larger limit: their random states lie nearer to a span, their rounding farther."""
LIMIT, LIMIT_SMALL = 1e-3, 1e-2
"""Largest distance to a span, over the state's length, that counts as inside."""
SAME = 1e-4
"""Relative distance below which two states of one prefix are the same."""
BEAM = 4
"""Prefixes kept, for each record."""
LISTED = 4
"""Tokens tried where none lies inside the span, for each record and place where it may stand."""
MOST_TRIED = 4096
"""Prefixes with a token after them that are tried at a position where none lies inside."""
SAMPLE = 512
"""Rows from which the usual one of a table is taken."""
ROWS = 1024
"""Prefixes run through the first block at a time."""


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What the attacker knows of a view beside its tensors."""

    records: int
    """Sequences behind it."""
    length: int
    """Tokens of the longest of them."""


@dataclass(frozen=True)
class Recovered:
    """Sequences read out of one view."""

    sequences: tuple[tuple[int, ...], ...]
    """Token ids, the likeliest first; at most as many as the view has records."""
    bag: tuple[int, ...]
    """Tokens that were read or predicted, in no order."""
    inside: bool
    """Whether tokens lay inside the span; else the nearest were taken."""
    alike: float
    """Share of the vocabulary inside the span at the first position."""
    rank: int
    """Dimensions of the first block's span."""

    @classmethod
    def nothing(cls) -> "Recovered":
        """Return what is read out of nothing."""
        return cls((), (), inside=False, alike=0.0, rank=0)


@dataclass(frozen=True, eq=False)
class _Beam:
    """Prefixes of one length, with what the first block remembers of them."""

    tokens: Tensor
    """Shape (n, p)."""
    states: Tensor
    """What the second block is given at each position, float32, shape (n, p, width)."""
    scores: Tensor
    """Sum over positions of the logarithm of the distance, shape (n,); lower is likelier."""
    cache: Any = None
    """Keys and values of the first block; None at length 0."""

    @classmethod
    def empty(cls, width: int) -> "_Beam":
        """Return the one prefix without a token."""
        none = torch.zeros((1, 0), dtype=torch.int64)
        return cls(none, torch.zeros((1, 0, width)), torch.zeros(1, dtype=torch.float64))

    def prefixes(self, chosen: Tensor) -> list[tuple[float, tuple[int, ...]]]:
        """Return score a token and tokens of the chosen ones."""
        length = max(self.tokens.shape[1], 1)
        return [
            (score / length, tuple(tokens))
            for score, tokens in zip(self.scores[chosen].tolist(), self.tokens[chosen].tolist(), strict=True)
        ]


@torch.no_grad()
def read_text(decoder: Decoder, gradients: Mapping[str, Tensor], knowledge: Knowledge) -> Recovered:
    """Return the token sequences behind a gradient.

    Args:
        decoder: The model at which it was computed.
        gradients: The tensors that `decoder.reads` names; their scale does not matter, their sign does.
        knowledge: How many sequences there are, and how long.
    """
    most = knowledge.records * knowledge.length
    first, second = (span_of(projection.of(gradients), most) for projection in decoder.projections)
    if not (first.rank and second.rank):
        return Recovered.nothing()
    bag = bag_of(decoder, gradients, most)
    search = _Search(decoder, first, second, knowledge, bag)
    prefixes = search.prefixes()
    ends = last_tokens(decoder, gradients, prefixes)
    sequences = tuple((*prefix, *ends[place : place + 1]) for place, prefix in enumerate(prefixes))
    inside = len(search.listed(0).inside)
    return Recovered(sequences, tuple(bag.tolist()), inside > 0, inside / len(decoder.embedding), first.rank)


def bag_of(decoder: Decoder, gradients: Mapping[str, Tensor], most: int) -> Tensor:
    """Return the tokens that were read, from the embedding's gradient, or predicted, from the output layer's.

    Of each table the rows are taken that differ most from the usual one, which is zero where nobody has hidden the
    rows of tokens that were not read; noise and signs have to hide each row for itself.

    Args:
        decoder: The model at which it was computed.
        gradients: By name; a table that is not there names nobody.
        most: Tokens taken of each table, at most.
    """
    named = [torch.zeros(0, dtype=torch.int64)]
    for name in {decoder.embedding_name: None, decoder.output_name: None}:
        if name in gradients:
            table = gradients[name].float()
            usual = table[:: max(1, len(table) // SAMPLE)].median(dim=0).values
            unlike = (table - usual).norm(dim=1).topk(min(most, len(table)))
            named.append(unlike.indices[unlike.values > 0])
    return torch.tensor(sorted({int(token) for tokens in named for token in tokens}), dtype=torch.int64)


@dataclass(frozen=True, eq=False)
class _Listed:
    """Tokens to be tried at a position."""

    inside: Tensor
    """Those inside the span."""
    nearest: Tensor
    """Those nearest to it, where they may be needed."""


@dataclass(frozen=True, eq=False)
class _Tried:
    """What becomes of every prefix with every token after it."""

    states: Tensor
    """What the second block is given at that token, float32, shape (n, tokens, width)."""
    distances: Tensor
    """To the second block's span, shape (n, tokens)."""
    same: Tensor
    """Whether the state is that of an earlier position of the prefix, shape (n, tokens)."""
    cache: Any
    """What the first block remembers of all of them, in this order; None where they were too many to keep."""


class _Search:
    """The search through one view."""

    def __init__(self, decoder: Decoder, first: Span, second: Span, knowledge: Knowledge, bag: Tensor) -> None:
        self._decoder, self._first, self._second, self._knowledge = decoder, first, second, knowledge
        self._bag, self._noisy = bag, first.noisy or second.noisy
        self._limit = LIMIT if decoder.embedding.shape[1] >= SMALL_WIDTH else LIMIT_SMALL
        self._known: dict[int, _Listed] = {}

    def listed(self, position: int) -> _Listed:
        """Return the tokens to be tried at a position; with rotary positions they are the same at each."""
        position = 0 if self._decoder.positions is None else position
        if position not in self._known:
            states = self._decoder.first_inputs(torch.arange(len(self._decoder.embedding)), position)
            inside = nearest = self._first.near(states, self._limit)
            if self._noisy or not len(inside):
                places = self._knowledge.length if self._decoder.positions is None else 4
                many = LISTED * self._knowledge.records * places
                room = max(MOST_TRIED // (BEAM * self._knowledge.records), LISTED)
                order = self._first.distances(states).argsort(stable=True).tolist()
                wanted = {*order[:many], *self._bag.tolist()}
                nearest = torch.tensor([token for token in order if token in wanted][:room])
            self._known[position] = _Listed(inside, nearest)
        return self._known[position]

    def prefixes(self) -> list[tuple[int, ...]]:
        """Return the sequences without their last tokens, the likeliest first."""
        alone, last = self._knowledge.records == 1, self._knowledge.length - 1
        beam = _Beam.empty(self._decoder.embedding.shape[1])
        done: list[tuple[float, tuple[int, ...]]] = []
        for position in range(last):
            grown, ended = self._grown(beam, position)
            done.extend(beam.prefixes(ended))
            if grown is None:
                break
            beam = grown
        else:
            done.extend(beam.prefixes(torch.ones(len(beam.tokens), dtype=torch.bool)))
        repeated = {tokens: len(set(tokens)) == 1 < len(tokens) for _, tokens in done}
        # a token repeated from the start leaves one state behind, however often: for several records that is doubted
        done.sort(key=lambda one: (not alone and repeated[one[1]], -len(one[1]), repeated[one[1]], one[0]))
        return [tokens for _, tokens in done][: self._knowledge.records]

    def _grown(self, beam: _Beam, position: int) -> tuple[_Beam | None, Tensor]:
        """Return the best prefixes that are one token longer, and which of the old ones end here."""
        listed = self.listed(position)
        tokens = listed.nearest
        tried = self._tried(beam, tokens)
        inside = tried.distances < self._limit
        if not self._noisy and len(listed.inside) and (inside.any() or self._knowledge.records > 1):
            accepted = inside
        else:
            accepted = ~tried.same  # nothing lies inside: the nearest will do, but no state is counted twice
        ended = ~(accepted & ~tried.same).any(dim=1) & (beam.tokens.shape[1] > 0)
        scores = torch.where(accepted, beam.scores[:, None] + tried.distances.clamp_min(1e-12).log(), torch.inf)
        order = scores.flatten().argsort(stable=True)[: BEAM * self._knowledge.records]
        order = order[scores.flatten()[order].isfinite()]
        if not len(order):
            return None, ended
        rows, columns = order // len(tokens), order % len(tokens)
        cache = tried.cache
        if cache is None:
            cache = self._followed(beam, rows, tokens[columns]).past_key_values
        else:
            cache.batch_select_indices(order)
        longer = torch.cat([beam.tokens[rows], tokens[columns, None]], dim=1)
        states = torch.cat([beam.states[rows], tried.states[rows, columns, None]], dim=1)
        return _Beam(longer, states, scores.flatten()[order], cache), ended

    def _tried(self, beam: _Beam, tokens: Tensor) -> _Tried:
        """Return what the second block is given, and how far from its span, for every prefix and token."""
        rows, columns = torch.cartesian_prod(torch.arange(len(beam.tokens)), torch.arange(len(tokens))).T
        answers = []
        for start in range(0, len(rows), ROWS):
            part = slice(start, start + ROWS)
            answer = self._followed(beam, rows[part], tokens[columns[part]])
            cache = answer.past_key_values if len(rows) <= ROWS else None
            answers.append(answer.last_hidden_state[:, -1])
        states = torch.cat(answers)
        shape = (len(beam.tokens), len(tokens))
        distances = self._second.distances(states).view(shape)
        states = states.view(*shape, -1)
        same = torch.zeros(shape, dtype=torch.bool)
        for place in range(beam.states.shape[1]):
            same |= (states - beam.states[:, place, None]).norm(dim=2) < SAME * states.norm(dim=2)
        return _Tried(states, distances, same, cache)

    def _followed(self, beam: _Beam, rows: Tensor, tokens: Tensor) -> Any:
        """Return what the cut model answers to some prefixes, each with one token after it."""
        cache = importlib.import_module("transformers").DynamicCache()
        if beam.cache is not None:
            cache = copy.deepcopy(beam.cache)
            cache.batch_select_indices(rows)
        trunk: Any = self._decoder.trunk
        return trunk(input_ids=tokens[:, None], past_key_values=cache, use_cache=True)
