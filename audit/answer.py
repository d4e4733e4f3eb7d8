"""From three arms to a finding: one sentence, the mend, and what the answer does not show.

The words never hold a record's content; they count.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from audit.arms import Played
from audit.decision import LEAST_RECORDS, SIGNIFICANCE, Arms, Decision
from audit.exhibits import arm_measurements, arms_plot, likeness_measurements, record_exhibits
from audit.load import Excluded
from audit.scene import Scene
from reports.context import Context
from reports.model import Basis, Finding, Measurement, Remedy, Severity, Status, System

PLANTED = "The records were planted; of real people's records it was not asked."
"""Said in every answer that rests on planted records."""


@dataclass(frozen=True)
class Wording:
    """How a check speaks of what it counts."""

    things: str
    """Plural: "planted records", "labels"."""
    found: str
    """Participle: "identified", "read"."""
    where: str
    """Where from: "in single updates"."""
    least: int = LEAST_RECORDS
    """Records to plant for a pass."""
    premise: str = PLANTED
    """What is said first of the records."""
    mends: Mapping[str, Remedy] = field(default_factory=dict)
    """By reason of an inconclusive answer: what would decide it, where that is not what it is elsewhere."""


def answer(
    ctx: Context,
    system: System,
    arms: Arms,
    decision: Decision,
    wording: Wording,
    *,
    measurements: Iterable[Measurement],
    evidence: Iterable[str],
    remedy: Remedy,
    limitations: Sequence[str],
    detail: str = "",
    diagnosis: str = "",
    severity: Severity | None = None,
    doubt: str = "",
    key: str = "",
) -> Finding:
    """Return the finding of a reconstruction check.

    Args:
        ctx: Of the check.
        system: The system; a declared epsilon is printed beside a pass.
        arms: What was played.
        decision: What it says.
        wording: How the check speaks.
        measurements: The numbers.
        evidence: What it rests on.
        remedy: Of a failure; other answers bring their own.
        limitations: What the views rest on.
        detail: More for people.
        diagnosis: Why a control may have failed.
        severity: Of a failure, where the check knows better than the rule.
        doubt: Why the views cannot accuse the system, half a sentence, where they cannot.
        key: Of the finding, where the check yields several.
    """
    return ctx.finding(
        decision.status,
        _summary(system, arms, decision, wording, diagnosis, doubt)[:300],
        key=key,
        severity=(severity or decision.severity) if decision.status is Status.FAIL else None,
        strength=decision.strength,
        basis=Basis.MEASURED,
        detail=detail,
        measurements=measurements,
        evidence=evidence,
        remedy=remedy if decision.status is Status.FAIL else _more_evidence(arms, decision, wording, doubt),
        limitations=[wording.premise, *limitations, *_of_few_views(decision)],
        reason=decision.reason,
    )


def answer_for_records(
    ctx: Context,
    system: System,
    scene: Scene,
    played: Played,
    decision: Decision,
    wording: Wording,
    *,
    method: str,
    title: str,
    remedy: Remedy,
    limitations: Sequence[str],
    measurements: Iterable[Measurement] = (),
    detail: str = "",
    diagnosis: str = "",
    severity: Severity | None = None,
    doubt: str = "",
    key: str = "",
    shown: bool = True,
) -> Finding:
    """Return the finding of a check that looks for records: `answer` with the figures and exhibits that all such share.

    Args:
        ctx: Of the check.
        system: The system.
        scene: Where the attack was played.
        played: The arms.
        decision: What they say.
        wording: How the check speaks.
        method: How records were looked for, for the headline.
        title: Of plots.
        remedy: Of a failure.
        limitations: What the views rest on.
        measurements: Further figures of the check.
        detail: More for people than what was seen in the views and what each reading found.
        diagnosis: Why a control may have failed.
        severity: Of a failure, where the check knows better than the rule.
        doubt: Why the views cannot accuse the system, half a sentence, where they cannot.
        key: Of the finding, where the check yields several.
        shown: Whether originals and reconstructions are kept as evidence.
    """
    return answer(
        ctx,
        system,
        played,
        decision,
        wording,
        measurements=[
            *arm_measurements(played, decision, "identifiability", method),
            *likeness_measurements(scene, played, decision),
            *measurements,
        ],
        evidence=[
            *arms_plot(ctx, played, decision, title, f"share of {wording.things} {wording.found}"),
            *(record_exhibits(ctx, scene, played, title) if shown else ()),
        ],
        remedy=remedy,
        limitations=limitations,
        detail="\n".join([described(played), *([detail] if detail else [])]),
        diagnosis=diagnosis,
        severity=severity,
        doubt=doubt,
        key=key,
    )


def described(played: Played) -> str:
    """Return what was seen in the views and what each reading found, for people."""
    seen = [f"{defence.name.value} ({defence.detail})" for defence in played.defences]
    lines = [f"Seen in the views or declared: {', '.join(seen) if seen else 'no defence'}."]
    n = len(played.system)
    for name, paired in played.variants.items():
        counts = (
            f"system {int(paired.system.sum())}, null {int(paired.null.sum())}, control {int(paired.control.sum())}"
        )
        lines.append(f"Reading by {name}: {counts} of {n}.")
    if played.unanswered:
        lines.append(f"Not answered by any reading: {', '.join(played.unanswered)}.")
    return "\n".join(lines)


def diagnose(played: Played, base: nn.Module, public: int) -> str:
    """Return the likeliest reason that an attack fails on unprotected twins, half a sentence.

    Args:
        played: The arms.
        base: The model of the views.
        public: Planted records that equal a public one.
    """
    if played.dead >= 0.5:
        return f"dead units: {played.dead:.0%} of the twins have a gradient of zero throughout"
    if public > len(played.system) / 2:
        return f"{public} planted records equal a public one, and a tie is a miss"
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in base.modules()):
        return "the model normalises batches; a client in training mode sends other gradients"
    return "check [model].normalisation, and that planted and public records come in the same units"


def left_out(excluded: Sequence[Excluded], silent: int = 0) -> tuple[str, ...]:
    """Return the limitations for updates that could not be used."""
    lines = [f"Left out: {one.path}, since {one.why}." for one in excluded[:10]]
    if len(excluded) > 10:
        lines.append(f"Left out: {len(excluded) - 10} more updates with NaN or infinity.")
    if silent:
        lines.append(f"Left out: {silent} planted records whose updates are zero throughout.")
    return tuple(lines)


def skipped(ctx: Context, summary: str, reason: str) -> Finding:
    """Return the finding of a check that does not apply."""
    return ctx.finding(Status.SKIPPED, summary, reason=f"not-applicable:{reason}")


def without_records(ctx: Context, summary: str, excluded: Sequence[Excluded]) -> Finding:
    """Return the finding where no planted record can be used."""
    remedy = Remedy(
        parameter="updates", direction="add", value=str(LEAST_RECORDS),
        text=f"Record updates of at least {LEAST_RECORDS} planted records, each with its truth.",
    )  # fmt: skip
    return ctx.finding(
        Status.INCONCLUSIVE, summary, remedy=remedy, limitations=left_out(excluded), reason="no-usable-record"
    )


def _summary(system: System, arms: Arms, decision: Decision, wording: Wording, diagnosis: str, doubt: str) -> str:
    counted = f"{decision.hits} of {decision.records} {wording.things} were {wording.found} {wording.where}"
    match decision.status, decision.reason:
        case Status.FAIL, _:
            exact = f", {decision.exact} of them exactly" if decision.exact else ""
            return f"{counted}{exact}; by luck {decision.null_hits}, unprotected {decision.control_hits}."
        case Status.PASS, _:
            return (
                f"Not found by these attacks at this budget: {counted} "
                f"({decision.views} view{'' if decision.views == 1 else 's'}), "
                f"at most {decision.high:.1%} with 95 % confidence; {declared_epsilon(system)}."
            )
        case _, "no-usable-record":
            return f"No {wording.things} can be used: every recorded view of them is zero throughout."
        case _, "control-failed":
            return (
                f"The attack cannot have found anything: unprotected, {decision.control_hits} of {decision.records} "
                f"{wording.things} were {wording.found} ({diagnosis})."
            )
        case _, "too-few-records":
            return f"{counted}; fewer than {LEAST_RECORDS} can fail, but never pass."
        case _, "too-few-candidates":
            return f"{counted}, but a guess at random is right in {arms.chance:.1%}, more than 2 %."
        case _ if doubt and decision.p_value <= SIGNIFICANCE:
            return f"{counted}, but {doubt}."
        case _ if arms.unanswered:
            return f"{counted}, but no reading of this attack answers {', '.join(arms.unanswered)}; it earns no pass."
    return (
        f"{counted}, at most {decision.high:.1%} with 95 % confidence: not above luck, and not below the limit of "
        f"{decision.limit:.1%}."
    )


def _more_evidence(arms: Arms, decision: Decision, wording: Wording, doubt: str) -> Remedy | None:
    """Return what would turn an inconclusive answer into one that decides; None where nothing that is known would."""
    if decision.status is not Status.INCONCLUSIVE or arms.unanswered:
        return None
    if decision.reason in wording.mends:
        return wording.mends[decision.reason]
    if doubt:
        return Remedy(
            parameter="updates", direction="add", value="aggregate",
            text="Record the sum of each round as the server gets it.",
        )  # fmt: skip
    match decision.reason:
        case "too-few-candidates":
            return Remedy(
                parameter="data", direction="add", value="reference",
                text="Add public records of the same kind (role = reference), or plant fewer in each view.",
            )  # fmt: skip
        case "control-failed":
            return Remedy(
                parameter="model.normalisation", direction="set",
                text="Record updates of a model that learns, with records in the units that it is given.",
            )  # fmt: skip
        case "too-few-records" | "no-usable-record" | "undecided" if decision.needed:
            number = max(decision.needed, wording.least)
            return Remedy(
                parameter="updates", direction="add", value=str(number),
                text=f"Plant {number} {wording.things.removeprefix('planted ')} in all, in views of their own.",
            )  # fmt: skip
    return None


def _of_few_views(decision: Decision) -> Iterable[str]:
    if decision.status is Status.PASS and decision.views < LEAST_RECORDS:
        told = "was 1 independent view" if decision.views == 1 else f"were {decision.views} independent views"
        yield f"Records of one view stand or fall together; there {told}, fewer than {LEAST_RECORDS}: a screening."


def declared_epsilon(system: System) -> str:
    """Return what is declared of differential privacy, half a sentence, to stand beside a pass."""
    noise = system.federation.differential_privacy if system.federation else None
    if noise is None or noise.epsilon is None:
        return "no epsilon is declared"
    return f"declared epsilon {noise.epsilon:g}" + ("" if noise.delta is None else f" at delta {noise.delta:g}")
