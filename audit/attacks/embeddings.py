"""Embeddings of planted records in three arms: what decoders make of them, of others', and of unprotected ones."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from audit.arms import EXACT, Played
from audit.attacks.decoders import fit_network
from audit.decision import Paired
from audit.identify import identified
from audit.load import Truth
from audit.scene import Scene

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """What the attacker holds: features of the records it wants, and public records with theirs."""

    wanted: Array
    """Shape (n, p)."""
    features: Array
    """Shape (m, p)."""
    records: Array
    """Shape (m, d), raw units."""


@dataclass(frozen=True, eq=False)
class Holding:
    """Embeddings and the records that they are of, each planted record once."""

    scene: Scene
    """The candidates; it has no sightings."""
    planted: Array
    """Embedding of each planted record, the mean where it was sent more than once, shape (n, p)."""
    public: Array
    """Embeddings of the public records, shape (m, p)."""
    records: Array
    """The public records, raw units, shape (m, d)."""
    labels: IntArray
    """Labels of the public records, below zero where there is none, shape (m,)."""
    bits: int | None = None
    """Length of a code; None where the embeddings are floats."""


def arms_of(read: Mapping[str, Array], clear: Mapping[str, Array], scene: Scene, rng: np.random.Generator) -> Played:
    """Return the three arms of decoders that made one guess a record.

    The null arm takes the guess for another planted record with the same label: the decoders have learnt from the
    public ones, and would know those again.

    Args:
        read: By decoder, what it made of the planted records as they were sent, shape (n, d).
        clear: By decoder, what it made of them unprotected, shape (n, d).
        scene: The candidates, planted records first.
        rng: Draws the other records.
    """
    n = len(scene.planted)
    own, truth, near = np.arange(n), scene.candidates[:n], EXACT * (scene.span[1] - scene.span[0])
    other, alone = others(scene.planted, rng)
    variants, exact_null = {}, False
    for name, guess in read.items():
        made = (guess, guess[other], clear[name])
        hits, null, twin = (identified(one, own, scene.candidates)[:n] for one in made)
        null[alone] = hits[alone]  # there is no other: luck is taken to do as well
        variants[name] = Paired(hits, null, twin)
        exact_null |= bool((np.abs(guess[other] - truth).max(axis=1) <= near)[~alone].any())
    best = _closest(read, truth)
    hits = np.any([one.system for one in variants.values()], axis=0)
    return Played(
        control=np.any([one.control for one in variants.values()], axis=0),
        system=hits,
        null=np.any([one.null for one in variants.values()], axis=0),
        chance=1 / len(scene.candidates),
        exact=hits & (np.abs(best - truth).max(axis=1) <= near),
        exact_null=exact_null,
        variants=variants,
        best=best,
        best_control=_closest(clear, truth),
        used=own,
    )


def network_guess(pairs: Pairs, rng: np.random.Generator) -> Array:
    """Return what one network, trained on public pairs, makes of the features that are wanted, shape (n, d)."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    return fit_network(pairs.features, pairs.records, generator)(pairs.wanted)


def others(planted: Truth, rng: np.random.Generator) -> tuple[IntArray, BoolArray]:
    """Return for each record another with its label, and which records have no such other."""
    other, alone = np.arange(len(planted)), np.ones(len(planted), dtype=bool)
    labels = np.zeros(len(planted)) if planted.y.is_floating_point() else planted.y.numpy()
    for label in np.unique(labels):
        alike = rng.permutation(np.flatnonzero(labels == label))
        other[alike] = np.roll(alike, 1)
        alone[alike] = len(alike) < 2
    return other, alone


def _closest(guesses: Mapping[str, Array], truth: Array) -> Array:
    """Return for each record the guess that is nearest to it, shape (n, d); to be shown, never handed in."""
    made = np.stack(list(guesses.values()))
    nearest = ((made - truth) ** 2).sum(axis=2).argmin(axis=0)
    return np.asarray(made[nearest, np.arange(len(truth))])
