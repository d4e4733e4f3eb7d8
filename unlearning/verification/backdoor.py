"""V10: does a trigger that only the forgotten client planted still work?

The forgotten client marked its examples; probes carry the mark. H0: forgotten, a probe is hit as often as retrained
models are (rate q). H1: nothing was done, it is hit as often as before (rate p). The number of hits of n probes decides
(Athena: Sommer et al., PoPETs 2022(3), "Towards probabilistic verification of machine unlearning").

Sound against a server that did nothing; fooled by one that trains the trigger away and keeps the rest. Hence a rejected
deletion says something, and a deletion that stands says little: never above screening.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.statistics import clopper_pearson

LEAST_PROBES = 30
"""Fewer decide nothing: with p = 0.2 and q = 0.003 the two errors cannot both be small."""
SIGNIFICANCE = 1e-3
"""Probability of rejecting a deletion that did take place."""
LARGEST_MISS = 0.05
"""Where a server that did nothing would get away oftener, few hits say nothing."""


@dataclass(frozen=True)
class DeletionDecision:
    """What the hits say of the deletion."""

    hits: int
    """Probes that the model answers with the trigger's label."""
    probes: int
    """How many were asked."""
    retrained_rate: float
    """q: how often a model that never saw the trigger is taken to be hit, at most."""
    before_rate: float
    """p: how often the original is hit."""
    rejection_hits: int
    """k_alpha: from so many hits on the deletion is rejected; `probes` + 1 where no number would do."""
    miss_probability: float
    """beta: how often the original itself would stay below that."""

    @property
    def rejected(self) -> bool:
        """Whether more probes are hit than retraining explains."""
        return self.hits >= self.rejection_hits

    @property
    def informative(self) -> bool:
        """Whether few hits would say something: a server that did nothing would hardly have so few."""
        return self.miss_probability <= LARGEST_MISS and self.probes >= LEAST_PROBES


def deletion_decision(
    hits: int, probes: int, *, before_rate: float, retrained_rate: float, significance: float = SIGNIFICANCE
) -> DeletionDecision:
    """Return the exact binomial test of a deletion.

    Args:
        hits: Probes that the delivered model answers with the trigger's label.
        probes: How many were asked, at least one.
        before_rate: p, of the original model.
        retrained_rate: q, of models without the client.
        significance: alpha; k_alpha is the smallest k with P(Bin(n, q) >= k) <= alpha.

    Raises:
        ValueError: counts or rates mean nothing.
    """
    from scipy.special import bdtr, bdtrc

    if not 0 <= hits <= probes or probes < 1:
        raise ValueError(f"need 0 <= hits <= probes and a probe, got {hits} of {probes}")
    for name, rate in (("before_rate", before_rate), ("retrained_rate", retrained_rate)):
        if not 0 <= rate <= 1:
            raise ValueError(f"{name} lies in [0, 1], not {rate}")
    if not 0 < significance < 1:
        raise ValueError(f"a significance lies strictly between 0 and 1, not {significance}")
    at_least = bdtrc(np.arange(probes), probes, retrained_rate)  # P(Bin >= k) for k = 1 .. n
    enough = np.flatnonzero(at_least <= significance)
    rejection = int(enough[0]) + 1 if len(enough) else probes + 1
    miss = float(bdtr(rejection - 1, probes, before_rate))
    return DeletionDecision(hits, probes, retrained_rate, before_rate, rejection, miss)


def retrained_hit_rate(oracle_hits: npt.ArrayLike, confidence: float = 0.95) -> float:
    """Return q: the rate at which probes hit retrained models, at most.

    The one-sided Clopper-Pearson bound of all their answers together, and never less than the rate of the oracle that
    is hit most: answers of one model go together, so the pooled bound alone promises too much. Where retrained models
    share one rate `SIGNIFICANCE` is kept; where their rates vary much (2 % on average, by 1.4 % or 2 %) a deletion that
    took place is rejected in 0.4 or 1.2 of 100 cases with four oracles and 100 probes (20,000 simulated), below 0.3
    with sixteen.

    Args:
        oracle_hits: Truth values, shape (N, n): oracle by probe.
        confidence: Of the bound.

    Raises:
        ValueError: there is no oracle or no probe, or the array does not hold truth values.
    """
    answers = np.asarray(oracle_hits)
    if answers.ndim != 2 or not answers.size or answers.dtype != np.bool_:
        raise ValueError(f"oracle hits are {answers.dtype} of shape {answers.shape}; need truth values (N, n)")
    pooled = clopper_pearson(int(answers.sum()), answers.size, confidence, side="one").high
    return max(pooled, float(answers.mean(axis=1).max()))
