"""Rules by which a server makes one update of many, as a system file names them.

All take the updates of a round, one row a client, shape (n, d), and return one, shape (d,). Clients weigh the same.

Sources: coordinate median and trimmed mean: Yin et al. 2018 (arXiv:1803.01498), definitions 1 and 2; Krum and
Multi-Krum: Blanchard et al. 2017 (NeurIPS 30), section 4; norm clipping: Sun et al. 2019 (arXiv:1911.07963), section 4.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

RuleName = Literal["mean", "median", "trimmed-mean", "krum", "multi-krum", "norm-clipping"]
_NAMES: dict[str, RuleName] = {
    "mean": "mean", "average": "mean", "weighted-mean": "mean", "weighted-average": "mean", "fedavg": "mean",
    "federated-averaging": "mean", "fedprox": "mean",
    "median": "median", "coordinate-median": "median", "coordinate-wise-median": "median", "fedmedian": "median",
    "trimmed-mean": "trimmed-mean", "coordinate-trimmed-mean": "trimmed-mean", "fedtrimmedavg": "trimmed-mean",
    "krum": "krum", "multi-krum": "multi-krum", "multikrum": "multi-krum",
    "norm-clipping": "norm-clipping", "norm-clipped-mean": "norm-clipping", "norm-bounding": "norm-clipping",
}  # fmt: skip
"""What a declaration may call each rule; FedProx changes what clients do and averages what they send."""
_WORDS = re.compile(r"([a-z-]+?)(?:[(: =]+([0-9]+(?:\.[0-9]+)?)\)?)?")
TRIMMED = 0.2
"""Share that is trimmed at each end where none is declared: Flower's default."""


@dataclass(frozen=True)
class Rule:
    """One rule, with the number that it was declared with."""

    name: RuleName
    """Which."""
    number: float | None = None
    """Trimmed mean: share cut at each end. Krum: malicious clients reckoned with, a share where below 1."""

    def __call__(self, updates: Tensor) -> Tensor:
        """Return what the rule makes of `updates`, shape (n, d); shape (d,).

        Raises:
            ValueError: the rule cannot be applied to so few updates.
        """
        match self.name:
            case "mean":
                return updates.mean(0)
            case "median":
                return coordinate_median(updates)
            case "trimmed-mean":
                return trimmed_mean(updates, TRIMMED if self.number is None else self.number)
            case "norm-clipping":
                return norm_clipped_mean(updates)
        malicious = reckoned_with(len(updates), self.number)
        return krum(updates, malicious, kept=1 if self.name == "krum" else len(updates) - malicious)


def declared_rule(words: str) -> Rule | None:
    """Return the rule that a declaration names, such as "krum", "trimmed-mean(0.1)" or "multi-krum: 3"; None if none.

    A number that the rule cannot take makes the declaration one of no known rule.
    """
    found = _WORDS.fullmatch(words.strip().lower().replace("_", "-"))
    if found is None or found[1] not in _NAMES:
        return None
    name, number = _NAMES[found[1]], None if found[2] is None else float(found[2])
    if number is not None:
        sound = {"trimmed-mean": number < 0.5, "krum": True, "multi-krum": True, "norm-clipping": number > 0}
        if not sound.get(name, False):
            return None
    return Rule(name, number)


def coordinate_median(updates: Tensor) -> Tensor:
    """Return the median of each coordinate, the mean of the middle two where their number is even."""
    ordered, n = updates.sort(0).values, len(updates)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def trimmed_mean(updates: Tensor, share: float) -> Tensor:
    """Return the mean of each coordinate without the `share` of clients at each end, rounded down to whole clients.

    Raises:
        ValueError: `share` leaves nobody.
    """
    n = len(updates)
    cut = math.floor(share * n + 1e-9)  # 0.29 * 100 is 28.999… in binary
    if not 0 <= 2 * cut < n:
        raise ValueError(f"a mean without {cut} of {n} updates at each end is a mean of none")
    return updates.sort(0).values[cut : n - cut].mean(0)


def krum(updates: Tensor, malicious: int, *, kept: int = 1) -> Tensor:
    """Return the mean of the `kept` updates whose nearest n - malicious - 2 neighbours are closest to them.

    Raises:
        ValueError: not 2 * malicious + 2 < n, or `kept` is no number of updates.
    """
    n = len(updates)
    if not 2 * malicious + 2 < n or malicious < 0 or not 1 <= kept <= n:
        raise ValueError(
            f"Krum with {malicious} malicious clients needs more than {2 * malicious + 2} updates, not {n}"
        )
    rows = updates.double()
    apart = torch.stack([(rows - row).square().sum(1) for row in rows])
    scores = apart.sort(1).values[:, 1 : n - malicious - 1].sum(1)  # the first is the distance to itself
    return updates[scores.argsort(stable=True)[:kept]].mean(0)


def norm_clipped_mean(updates: Tensor, bound: float | None = None) -> Tensor:
    """Return the mean of updates, each scaled down to an L2 norm of `bound`, by default the median of their norms."""
    norms = updates.double().norm(dim=1)
    limit = coordinate_median(norms[:, None])[0] if bound is None else torch.tensor(bound, dtype=norms.dtype)
    scales = (limit / norms.clamp_min(1e-300)).clamp(max=1.0).to(updates.dtype)
    clipped: Tensor = updates * scales[:, None]
    return clipped.mean(0)


def reckoned_with(clients: int, number: float | None) -> int:
    """Return how many malicious clients Krum reckons with: a count, a share below 1, or the most it can."""
    if number is None:
        return max(0, math.ceil(clients / 2) - 2)
    return math.floor(number * clients + 1e-9) if number < 1 else math.floor(number)
