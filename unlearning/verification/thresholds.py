"""The limits that a verification holds its figures to, as one noun: what is decided before anything is measured."""

from typing import Annotated

from pydantic import Field

from reports.model import Effort
from reports.nouns import Count, FiniteNumber, Noun, Share

Ratio = Annotated[FiniteNumber, Field(gt=0)]


class Thresholds(Noun):
    """When a verification of unlearning passes, and when it fails."""

    least_oracles: Count = 64
    """Models of the matched reference that a pass needs."""
    most_residual: FiniteNumber = 0.5
    """Largest upper end of the residual influence share with which a pass is possible."""
    least_residual: FiniteNumber = -0.5
    """Smallest lower end of it: beyond, the model may have been pushed past the retrained ones."""
    least_power: Share = 0.8
    """Lower end of the share of originals that the rank test must reject."""
    lowest_auc: Share = 0.40
    """Of U-LiRA: an interval that reaches below does not pass, one that ends below fails."""
    highest_auc: Share = 0.60
    """The same above."""
    most_found: Share = 0.05
    """Upper end of U-LiRA's true-positive rate at 1 % false positives."""
    least_quality: Share = 0.7
    """Forgetting quality, as a share of the control's."""
    least_original_auc: Share = 0.65
    """Lower end of U-LiRA's AUC on originals: below, there was nothing to forget that it could see."""
    most_floor_ratio: Ratio = 1.5
    """Lower end of the Jensen-Shannon ratio to the oracles' floor from which a model is told from them."""
    least_twin_auc: Share = 0.45
    """Upper end of the population AUC below which a forget set is known less than its twin."""
    most_anamnesis: Ratio = 3.0
    """Lower end of the anamnesis index from which a model overshot."""
    most_accuracy_loss: Share = 0.02
    """Of test accuracy, against retrained models."""
    seen_accuracy_loss: Share = 0.05
    """A loss of accuracy that a pass must have excluded."""

    def level(self, oracles: int) -> float | None:
        """Return the largest p-value that rejects, for so many oracles; None where even the smallest would not do."""
        return next((level for least, level in LEVELS if oracles >= least), None)


LEVELS = ((128, 0.01), (64, 0.02), (19, 0.05))
"""Oracles from which each level of the rank test holds; an exact test at 0.05 needs 19."""
LEAST_RANKED = LEVELS[-1][0]
FEW = 4
"""Oracles of a quick look."""


def planned_models(effort: Effort, models: int | None = None) -> tuple[int, int]:
    """Return how many references, and how many of everything else (originals, unlearned, controls) to train.

    Args:
        effort: What the run may cost.
        models: References asked for by hand; None for what the effort says. Too few for a rank test are not ranked.
    """
    references = {Effort.SMOKE: FEW, Effort.STANDARD: 64, Effort.FULL: 128}[effort] if models is None else models
    return references, min(references, 64) if references >= LEAST_RANKED else 0
