"""Labels told from an embedding by somebody who knows a few: more than from the raw features is the training's doing.

A passive party of a vertical federation has no labels; its bottom model, trained through the other party's gradients,
may have come to order the records by them (Fu et al., USENIX Security 2022, "Label inference attacks against vertical
federated learning").
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

PER_CLASS = 4
"""Labelled records of each class that the attacker has."""
DRAWS = 5
"""Times that those are drawn; the draw of the median difference is reported, so that a lucky one is not."""


@dataclass(frozen=True, eq=False)
class Told:
    """Labels told of the same records from two kinds of features."""

    embedding: BoolArray
    """Right from the embedding, shape (n,)."""
    raw: BoolArray
    """Right from the raw features, shape (n,)."""


def tell_labels(
    embeddings: tuple[Array, Array], records: tuple[Array, Array], labels: tuple[IntArray, IntArray],
    rng: np.random.Generator,
) -> Told | None:  # fmt: skip
    """Return which labels a logistic head tells after four labelled public records a class.

    Args:
        embeddings: Of the planted records, shape (n, p), and of the public ones, shape (m, p).
        records: The same records in raw units, shapes (n, d) and (m, d).
        labels: Shapes (n,) and (m,); below zero where a public record has none.
        rng: Draws the labelled records.

    Returns:
        The hits on planted records of the classes that can be learnt; None where those are fewer than two.
    """
    planted, public = labels
    pools = [rows for label in np.unique(planted) if len(rows := np.flatnonzero(public == label)) >= PER_CLASS]
    if len(pools) < 2:
        return None
    asked = np.isin(planted, [public[rows[0]] for rows in pools])
    draws = []
    for _ in range(DRAWS):
        known = np.concatenate([rng.choice(rows, PER_CLASS, replace=False) for rows in pools])
        hits = [_head(seen, known, public) == planted for seen in (embeddings, records)]
        draws.append(Told(hits[0][asked], hits[1][asked]))
    return sorted(draws, key=lambda told: int(told.embedding.sum()) - int(told.raw.sum()))[DRAWS // 2]


def _head(features: tuple[Array, Array], known: IntArray, labels: IntArray) -> IntArray:
    """Return the labels of the first features that a logistic regression on `known` rows of the second predicts."""
    from sklearn.linear_model import LogisticRegression  # costs a second that the other attacks need not pay

    planted, public = features
    centre, spread = public.mean(axis=0), public.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    head = LogisticRegression(max_iter=1000).fit((public[known] - centre) / spread, labels[known])
    return np.asarray(head.predict((planted - centre) / spread), dtype=np.int64)
