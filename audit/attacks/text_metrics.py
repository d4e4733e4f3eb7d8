"""How near a recovered sequence of tokens comes, and whose it is.

Sequences are compared by edit distance, bags of tokens by the share of a sequence that they lack; a record is
identified when, of everybody it could be, it alone is nearest. Token F1 and ROUGE-L are second opinions.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Tokens = Sequence[int]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NO_TOKEN = -1
"""Stands after the end of a shorter sequence; equals no token."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Everybody it could be."""

    tokens: IntArray
    """Shape (N, T), `NO_TOKEN` after the end."""
    lengths: IntArray
    """Tokens of each, shape (N,)."""


def pool_of(candidates: Sequence[Tokens]) -> Pool:
    """Return candidates, at least one, in one array."""
    lengths = np.array([len(one) for one in candidates], dtype=np.int64)
    tokens = np.full((len(candidates), int(lengths.max())), NO_TOKEN, dtype=np.int64)
    for row, one in zip(tokens, candidates, strict=True):
        row[: len(one)] = one
    return Pool(tokens, lengths)


def edit_distances(guess: Tokens, pool: Pool) -> IntArray:
    """Return how many insertions, deletions and replacements of tokens lead from `guess` to each candidate, (N,).

    Source: Wagner and Fischer, J. ACM 21 (1974) 168-173, a row of the table for all candidates at a time.
    """
    columns = np.arange(pool.tokens.shape[1] + 1)
    row = np.tile(columns, (len(pool.tokens), 1))
    for number, token in enumerate(guess, start=1):
        start = np.full((len(row), 1), number)
        replaced = np.minimum(row[:, 1:] + 1, row[:, :-1] + (pool.tokens != token))
        reached = np.concatenate([start, replaced], axis=1)
        row = np.minimum.accumulate(reached - columns, axis=1) + columns  # then insertions, one a column
    return np.asarray(row[np.arange(len(row)), pool.lengths])


def identified_by_edits(guesses: Sequence[Tokens], owners: Sequence[IntArray], pool: Pool) -> BoolArray:
    """Tell for every candidate whether a guess of its own view has it as the only nearest, shape (N,).

    Ties are misses, and so is an empty guess. A guess that equals a candidate of nobody's own is nearest to that.

    Args:
        guesses: Recovered sequences.
        owners: For each guess the candidates that belong to its view.
        pool: The candidates.
    """
    hit = np.zeros(len(pool.tokens), dtype=bool)
    for guess, own in zip(guesses, owners, strict=True):
        if len(guess):
            distances = edit_distances(guess, pool)
            nearest = np.flatnonzero(distances == distances.min())
            if len(nearest) == 1 and nearest[0] in own:
                hit[nearest] = True
    return hit


def identified_by_bags(bags: Sequence[Tokens], owners: Sequence[IntArray], pool: Pool) -> BoolArray:
    """Tell for every candidate whether its own view's bag lacks less of it than of any candidate of others, (N,).

    A bag holds the tokens of all records of a view, which therefore need not be told from one another.
    """
    hit = np.zeros(len(pool.tokens), dtype=bool)
    for bag, own in zip(bags, owners, strict=True):
        lacking = 1.0 - np.isin(pool.tokens, np.asarray(bag, dtype=np.int64)).sum(axis=1) / pool.lengths
        others = np.delete(lacking, own)
        hit[own] |= lacking[own] < others.min(initial=1.0)
    return hit


def token_f1(guess: Tokens, truth: Tokens) -> float:
    """Return the harmonic mean of precision and recall of tokens as multisets; 0 where none is shared."""
    shared = sum((Counter(guess) & Counter(truth)).values())
    return 2.0 * shared / (len(guess) + len(truth)) if shared else 0.0


def rouge_l(guess: Tokens, truth: Tokens) -> float:
    """Return ROUGE-L, the F1 of the longest common subsequence of tokens (Lin, ACL workshop 2004, section 3)."""
    row = [0] * (len(truth) + 1)
    for token in guess:
        before = row
        row = [0]
        for column, other in enumerate(truth):
            row.append(before[column] + 1 if token == other else max(row[column], before[column + 1]))
    return 2.0 * row[-1] / (len(guess) + len(truth)) if row[-1] else 0.0


def recalled(guess: Tokens, truth: Tokens, wanted: Sequence[bool]) -> tuple[int, int]:
    """Return how many of the wanted tokens of `truth` stand at their place in `guess`, and how many there are."""
    places = [place for place, want in enumerate(wanted) if want]
    return sum(place < len(guess) and guess[place] == truth[place] for place in places), len(places)
