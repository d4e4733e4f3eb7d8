"""How well scores tell members from non-members, with bounds, and the rule that makes an answer of it.

Several attacks on one system are several chances to accuse it, so each accuses at a confidence that its share of the
five percent leaves; and a threshold that was set on few non-members cannot show that the false-positive rate is low, so
the rate of members found must exceed what that threshold's own false-positive rate may be.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from audit.decision import severity_of
from reports.model import Interval, Severity, Status, Strength
from reports.statistics import Rate, auc, clopper_pearson, delong, tpr_at_fpr

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

LOW_RATE = 0.01
"""False-positive rate at which the rule asks how many members are found."""
LOWEST_RATE = 0.001
"""False-positive rate that is reported beside it."""
MOST_FOUND = 0.05
"""Largest share of members that a pass allows at `LOW_RATE`."""
MOST_AUC = 0.60
"""Largest AUC that a pass allows; one less it is the smallest."""
LEAST_PEOPLE = 100
"""Fewer members or non-members can fail but never pass."""
CONFIDENCE = 0.95
"""Of each bound; of all accusations together."""


@dataclass(frozen=True)
class Advantage:
    """True-positive rate minus false-positive rate at one threshold (Yeom et al. 2018, arXiv:1709.01604)."""

    value: float
    """On the records that the threshold was not chosen on."""
    low: float
    """One-sided lower bound."""
    high: float
    """One-sided upper bound."""
    records: int
    """Records it was measured on."""


@dataclass(frozen=True, eq=False)
class Separation:
    """The scores of one attack, and who the members are."""

    scores: Array
    """Larger means more member-like, finite, shape (n,)."""
    member: BoolArray
    """Shape (n,), some of both."""

    @cached_property
    def auc(self) -> float:
        """Probability that a member's score exceeds a non-member's, ties counted half."""
        return auc(self.scores[self.member], self.scores[~self.member])

    def auc_interval(self, confidence: float = CONFIDENCE) -> Interval:
        """Return DeLong's two-sided interval of the AUC."""
        return delong(self.scores, self.member, confidence)

    def found(self, rate: float = LOW_RATE) -> Rate:
        """Return the share of members found at a false-positive rate of at most `rate`."""
        return tpr_at_fpr(self.scores, self.member, rate)

    def found_bounds(self, confidence: float) -> Interval:
        """Return one-sided bounds of the share found at `LOW_RATE`, each at `confidence`."""
        return self._bounds(self.member, confidence)

    def false_bounds(self, confidence: float) -> Interval:
        """Return one-sided bounds of the false-positive rate at that threshold, each at `confidence`."""
        return self._bounds(~self.member, confidence)

    def advantage(self, half: BoolArray, confidence: float = CONFIDENCE) -> Advantage:
        """Return the advantage at the threshold that is best on one half of the records, measured on the other.

        Args:
            half: The records on which the threshold is chosen, shape (n,); some members and non-members on each side.
            confidence: Of each bound; each of the two rates has half of what is left.
        """
        scores, member = self.scores[half], self.member[half]
        cuts = np.unique(scores)
        gains = _above(scores[member], cuts) - _above(scores[~member], cuts)
        chosen = scores >= cuts[int(gains.argmax())]
        cut = scores[chosen].min()
        others, truth = self.scores[~half] >= cut, self.member[~half]
        each = 1 - (1 - confidence) / 2
        true = clopper_pearson(int(others[truth].sum()), int(truth.sum()), each, side="one")
        false = clopper_pearson(int(others[~truth].sum()), int((~truth).sum()), each, side="one")
        value = float(others[truth].mean() - others[~truth].mean())
        return Advantage(value, true.low - false.high, true.high - false.low, len(truth))

    def _bounds(self, chosen: BoolArray, confidence: float) -> Interval:
        above = self.scores[chosen] > self.found().threshold
        return clopper_pearson(int(above.sum()), len(above), confidence, side="one")


@dataclass(frozen=True)
class Accusation:
    """Which limits of the rule an attack exceeds."""

    found: bool
    """Members are found at a low false-positive rate."""
    ranked: bool
    """Members rank above non-members."""
    reversed: bool
    """Members rank below non-members."""
    claim: bool
    """The claimed advantage is contradicted."""

    def __bool__(self) -> bool:
        return self.found or self.ranked or self.reversed or self.claim


@dataclass(frozen=True)
class Judgement:
    """What the scores of all attacks on one system say."""

    status: Status
    """pass, fail or inconclusive."""
    reason: str
    """Machine word of an inconclusive answer."""
    attack: str
    """The attack that decides: the first that accuses, else the first named."""
    accusation: Accusation | None = None
    """Of a failure; None else."""
    severity: Severity | None = None
    """Of a failure."""
    strength: Strength = Strength.STATISTICAL
    """Screening for a pass from the loss alone."""


def halved(member: BoolArray, rng: np.random.Generator) -> BoolArray:
    """Return a random half of the members and of the non-members, shape (n,)."""
    half = np.zeros(len(member), dtype=bool)
    for group in (np.flatnonzero(member), np.flatnonzero(~member)):
        half[rng.permutation(group)[: len(group) // 2]] = True
    return half


def judge(
    attacks: Mapping[str, Separation],
    control: Mapping[str, Separation] | None,
    *,
    half: BoolArray,
    claim: float | None = None,
    complete: bool = True,
    calibrated: bool = True,
) -> Judgement:
    """Return the answer of the rule.

    Fail: a lower bound of the share of members found at 1 % false positives above 5 % (and above what the threshold's
    own false-positive rate may be), of the AUC above 0.60, an upper bound of the AUC below 0.40, or a claimed advantage
    below its lower bound; at a confidence of 95 % for all attacks together (Bonferroni). Pass: every attack's upper
    bounds, 95 % each, at most 5 % and 0.60, an AUC that does not fall below 0.40 either, at least 100 members and
    non-members, and a control of which the same attacks find more than 5 %.

    Args:
        attacks: At least one, on the same records, the strongest first.
        control: The same attacks on a model that leaks; None where there is none.
        half: Records on which the threshold of the advantage is chosen; see `halved`.
        claim: The advantage that the owner claims at most.
        complete: Whether the attacks ran in full.
        calibrated: Whether shadows say how hard each record is; the loss alone earns a screening.
    """
    each = 1 - (1 - CONFIDENCE) / len(attacks)
    for name, attack in attacks.items():
        if accusation := _accused(attack, half, each, claim):
            return Judgement(Status.FAIL, "", name, accusation, _severity(attack))
    first, main = next(iter(attacks.items()))
    members = int(main.member.sum())
    reason = ""
    leaks = control is not None and any(_finds(attack, each) for attack in control.values())
    if control is None or set(control) < set(attacks) or not leaks:
        reason = "control-failed"
    elif min(members, len(main.member) - members) < LEAST_PEOPLE:
        reason = "too-few-records"
    elif not complete:
        reason = "budget"
    elif not all(_quiet(attack) for attack in attacks.values()):
        reason = "undecided"
    strength = Strength.STATISTICAL if calibrated else Strength.SCREENING
    return Judgement(Status.INCONCLUSIVE if reason else Status.PASS, reason, first, strength=strength)


def _accused(attack: Separation, half: BoolArray, confidence: float, claim: float | None) -> Accusation:
    """Return which of the rule's limits an attack exceeds, each at `confidence`."""
    area = attack.auc_interval(2 * confidence - 1)  # two-sided, so that each end has `confidence`
    return Accusation(
        found=_finds(attack, confidence),
        ranked=area.low > MOST_AUC,
        reversed=area.high < 1 - MOST_AUC,
        claim=claim is not None and attack.advantage(half, confidence).low > claim,
    )


def _finds(attack: Separation, confidence: float) -> bool:
    """Tell whether an attack surely finds more members than a pass allows, and than its false-positive rate may be."""
    return attack.found_bounds(confidence).low > max(MOST_FOUND, attack.false_bounds(confidence).high)


def _quiet(attack: Separation) -> bool:
    """Tell whether an attack finds so little that the rule may pass it."""
    area = attack.auc_interval()
    return attack.found_bounds(CONFIDENCE).high <= MOST_FOUND and area.low >= 1 - MOST_AUC and area.high <= MOST_AUC


def _severity(attack: Separation) -> Severity:
    """Return the harm: by the share of members found, never below medium."""
    return max(Severity.MEDIUM, severity_of(attack.found_bounds(CONFIDENCE).low), key=lambda word: word.rank)


def _above(scores: Array, cuts: Array) -> Array:
    """Return the share of `scores` at or above each cut."""
    return np.asarray(1 - np.searchsorted(np.sort(scores), cuts, side="left") / len(scores))
