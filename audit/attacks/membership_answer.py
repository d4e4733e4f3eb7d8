"""From membership scores to a finding: figures with bounds, the curve on logarithmic axes, one sentence, the mend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.attacks.membership_scores import LOSS, Scored, separations
from audit.attacks.separation import (
    CONFIDENCE,
    LEAST_PEOPLE,
    LOW_RATE,
    LOWEST_RATE,
    MOST_AUC,
    MOST_FOUND,
    Judgement,
    Separation,
    halved,
    judge,
)
from audit.exhibits import npz_bytes
from reports.context import Context
from reports.model import (
    Basis,
    Confidentiality,
    Finding,
    Interval,
    Measurement,
    Remedy,
    Status,
    System,
    Threshold,
)
from reports.plot import OperatingPoint, RocPlot, RocSeries

Array = npt.NDArray[np.float64]

MOST_POINTS = 400
"""Of one curve in the plot."""
MOST_CURVES = 5
"""In one plot, beside that of the positive control; the figures name every attack."""
LEAST_RATE = 1e-4
"""Where the plot's axes begin."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Scores to be judged, and where they come from."""

    scored: Scored
    """Of the system."""
    control: Scored | None
    """Of a model that leaks; None where there is none."""
    source: str
    """Where the scores come from, for people."""
    basis: Basis
    """Measured by us, or recorded by the owner."""
    limitations: tuple[str, ...]
    """What they do not show."""
    complete: bool = True
    """Whether the attacks ran in full."""


def answered(system: System, ctx: Context, measured: Measured) -> Finding:
    """Return the finding that the scores support, and keep scores and curves as evidence."""
    attacks = separations(measured.scored)
    first = next(iter(attacks))
    control = None if measured.control is None else separations(measured.control)
    half = halved(measured.scored.member, ctx.rng("advantage"))
    claim = system.claims.membership_advantage if system.claims else None
    judged = judge(attacks, control, half=half, claim=claim, complete=measured.complete, calibrated=first != LOSS)
    measurements = _measurements(attacks, judged.attack, control or {}, half, claim, measured.source)
    arrays = {"member": measured.scored.member, **{_word(name): one.scores for name, one in attacks.items()}}
    kept = ctx.evidence(f"{ctx.check.id} scores", npz_bytes(arrays), "application/x-npz", Confidentiality.RESTRICTED)
    return ctx.finding(
        judged.status,
        _summary(attacks, judged, control, claim),
        severity=judged.severity,
        strength=judged.strength,
        basis=measured.basis,
        detail=_detail(attacks, measured.source),
        measurements=measurements,
        evidence=[ctx.plot(_plot(attacks, judged.attack, (control or {}).get(judged.attack))), kept],
        remedy=_remedy(judged, attacks[judged.attack]),
        limitations=[*measured.limitations, *_limits(attacks)],
        reason=judged.reason,
    )


def _measurements(
    attacks: Mapping[str, Separation],
    headline: str,
    control: Mapping[str, Separation],
    half: npt.NDArray[np.bool_],
    claim: float | None,
    source: str,
) -> list[Measurement]:
    """Return the figures of the attack that decides, then those of the others, named after them."""
    main = attacks[headline]
    found = [
        *_rates(main, f"{headline}, {source}", "", control.get(headline)),
        _area(main, f"{headline}, {source}", "", control.get(headline)),
        _advantage(main, half, claim),
    ]
    for name, attack in attacks.items():
        if name != headline:
            word, leaking = f"_{_word(name)}", control.get(name)
            found += [*_rates(attack, name, word, leaking), _area(attack, name, word, leaking)]
    return found


def _rates(attack: Separation, what: str, suffix: str, control: Separation | None) -> list[Measurement]:
    """Return the shares of members found at both rates, each with what its threshold does to non-members."""
    found = []
    for asked in (LOW_RATE, LOWEST_RATE):
        rate = attack.found(asked)
        false = rate.false_positive_interval
        method = (
            f"{what}; false-positive rate {rate.false_positive_rate:.2%} [{false.low:.2%}, {false.high:.2%}] on the "
            f"{rate.nonmembers} non-members that set the threshold; one-sided Clopper-Pearson bounds, 95 % each"
        )
        limit = Threshold(op="<=", limit=MOST_FOUND) if asked == LOW_RATE else None
        leaked = None if control is None else control.found(asked).value
        name = f"tpr_at_fpr_{asked}{suffix}"
        found.append(
            Measurement(
                name=name, value=rate.value, interval=rate.interval, n=rate.members, method=method, threshold=limit,
                control=leaked,
            )
        )  # fmt: skip
    return found


def _area(attack: Separation, what: str, suffix: str, control: Separation | None) -> Measurement:
    return Measurement(
        name=f"auc{suffix}",
        value=attack.auc,
        interval=attack.auc_interval(),
        n=len(attack.scores),
        method=f"{what}; DeLong interval, 95 %",
        threshold=Threshold(op="<=", limit=MOST_AUC),
        control=None if control is None else control.auc,
    )


def _advantage(attack: Separation, half: npt.NDArray[np.bool_], claim: float | None) -> Measurement:
    advantage = attack.advantage(half)
    return Measurement(
        name="membership_advantage",
        value=advantage.value,
        interval=Interval(low=advantage.low, high=advantage.high, confidence=CONFIDENCE),
        n=advantage.records,
        method="true- minus false-positive rate at the threshold that is best on a random half of the records, on the "
        "other half (arXiv:1709.01604); one-sided bounds, 95 % each",
        threshold=None if claim is None else Threshold(op="<=", limit=claim),
    )


def _summary(
    attacks: Mapping[str, Separation],
    judged: Judgement,
    control: Mapping[str, Separation] | None,
    claim: float | None,
) -> str:
    main = attacks[judged.attack]
    bounds, area = main.found_bounds(CONFIDENCE), main.auc_interval()
    rate = main.found()
    told = f"{judged.attack} finds {rate.value:.1%} of {rate.members} members at 1 % false positives"
    accused = judged.accusation
    if accused and (accused.found or accused.ranked):
        return f"{told} (at least {bounds.low:.1%}), AUC {main.auc:.2f} (at least {area.low:.2f})."
    if accused and accused.reversed:
        return f"{judged.attack} is reversed: AUC {main.auc:.2f}, at most {area.high:.2f}; members are the less likely."
    if accused:
        return f"{judged.attack} has a larger advantage over members than the claimed {claim:g}."
    match judged.reason:
        case "":
            return (
                f"Not found by these attacks at this budget: {told}, at most {bounds.high:.1%}; AUC {main.auc:.2f}, "
                f"at most {area.high:.2f}."
            )
        case "control-failed" if control is not None:
            most = max(one.found().value for one in control.values())
            return f"The attacks cannot have found much: of a model made to leak they find {most:.1%} at best."
        case "control-failed":
            return f"{told}; without scores of a model that leaks it is not known what the attack would find."
        case "too-few-records":
            return f"{told}; with fewer than {LEAST_PEOPLE} members or non-members it can fail, but never pass."
        case "budget":
            return f"{told}, at most {bounds.high:.1%}, but the attack did not run in full."
    return f"{told}, AUC {main.auc:.2f}: not above the limits, and not surely below them for every attack."


def _detail(attacks: Mapping[str, Separation], source: str) -> str:
    """Return one line an attack, strongest first."""
    lines = [f"Scores: {source}."]
    for name, attack in attacks.items():
        low, lowest = attack.found(), attack.found(LOWEST_RATE)
        lines.append(
            f"{name}: {low.value:.1%} at 1 %, {lowest.value:.1%} at 0.1 % false positives, AUC {attack.auc:.3f}."
        )
    return "\n".join(lines)


def _plot(attacks: Mapping[str, Separation], headline: str, control: Separation | None) -> RocPlot:
    """Return the curves of the attacks that fit, and the points that the rule and the report look at."""
    spare = [name for name in reversed(list(attacks)) if name not in (headline, LOSS)][
        : max(0, len(attacks) - MOST_CURVES)
    ]
    series = [curve(name, attack) for name, attack in attacks.items() if name not in spare]
    if control is not None:
        series.append(curve("positive control", control))
    points = []
    for asked in (LOW_RATE, LOWEST_RATE):
        rate = attacks[headline].found(asked)
        share, low, high = (round(number, 4) for number in (rate.value, rate.interval.low, rate.interval.high))
        points.append(OperatingPoint(label=f"at {asked:.1%}", fpr=asked, tpr=share, low=low, high=high))
    title = f"Members found, by false-positive rate; the points are those of {headline}"
    return RocPlot(title=title, series=tuple(series), points=tuple(points))


def curve(label: str, attack: Separation) -> RocSeries:
    """Return the highest true-positive rate at each false-positive rate, thinned evenly on a logarithmic axis."""
    members, others = np.sort(attack.scores[attack.member]), np.sort(attack.scores[~attack.member])[::-1]
    false = np.arange(len(others) + 1) / len(others)
    cuts = np.append(others, -np.inf)  # with so many non-members allowed, scores above the next one's are called
    true = 1 - np.searchsorted(members, cuts, side="right") / len(members)
    wanted = np.searchsorted(false, np.geomspace(LEAST_RATE, 1, MOST_POINTS), side="right") - 1
    kept = np.unique(np.append(wanted, len(others)))
    return RocSeries(label=label, fpr=tuple(false[kept].tolist()), tpr=tuple(true[kept].tolist()))


def _remedy(judged: Judgement, attack: Separation) -> Remedy | None:
    if judged.status is Status.FAIL:
        return Remedy(
            parameter="federation.differential_privacy.noise_multiplier", direction="raise",
            text="Train with differential privacy, for fewer rounds, or on more records.",
        )  # fmt: skip
    match judged.reason:
        case "control-failed":
            return Remedy(
                parameter="data.membership-scores", direction="add", value="control_target",
                text="Give scores of a model that is known to leak (control_*), or more members and non-members.",
            )  # fmt: skip
        case "too-few-records" | "undecided":
            wanted = LEAST_PEOPLE if judged.reason == "too-few-records" else 4 * len(attack.scores)
            return Remedy(
                parameter="data", direction="add", value=str(wanted),
                text=f"Give at least {wanted} members and as many non-members of the same kind.",
            )  # fmt: skip
        case "budget":
            return Remedy(parameter="run --effort", direction="raise", text="Ask again with more effort.")
    return None


def _limits(attacks: Mapping[str, Separation]) -> Sequence[str]:
    """Return what the figures rest on."""
    said = ["Non-members are taken to be records of the same kind; a difference in kind would look like membership."]
    others = min(int((~one.member).sum()) for one in attacks.values())
    if others * LOWEST_RATE < 1:
        said.append(f"With {others} non-members the threshold for 0.1 % is the highest of their scores.")
    if list(attacks) == [LOSS]:
        said.append("Without shadow scores the loss alone was asked, which finds few members that others would find.")
    return said


def _word(name: str) -> str:
    return name.lower().replace(" ", "_")
