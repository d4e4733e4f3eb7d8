"""What drop-outs did to simulated rounds, and the finding that follows from it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from reports.canonical import canonical_json
from reports.check import Context
from reports.model import (
    Basis,
    Confidentiality,
    Finding,
    Measurement,
    Remedy,
    Severity,
    Status,
    Strength,
    System,
    Threshold,
)
from reports.statistics import proportion
from secagg.checks.active import INSTALL, OWN_CODE, OWN_PROTOCOL, Code, code_of, flower_limits
from secagg.declaration import SECTION, DeclaredRound
from secagg.params import ETA, Assessment, assess_parameters, in_words
from secagg.remedy import sufficient_parameters
from secagg.survival import FORGETFUL, OVERLOADED, TOLERATED, WITHIN, Survival

CLAIM = "claims.dropout_tolerance"
FLOWER_WORKFLOW = "flwr.server.workflow.SecAggPlusWorkflow"


@dataclass(frozen=True)
class Borne:
    """What a declaration bears, by arithmetic and in simulated rounds."""

    declared: DeclaredRound
    assessment: Assessment
    code: Code
    dropped: int
    """The most drop-outs that leave `ETA` bits of correctness, and our own client enough survivors."""
    claim: float | None = None
    """`[claims].dropout_tolerance`."""
    survivals: tuple[Survival, ...] = ()
    """Empty where no code is at hand."""

    @property
    def tolerance(self) -> float:
        """What is borne, as a share of the cohort."""
        return self.dropped / self.declared.clients

    @property
    def wrong(self) -> Sequence[Survival]:
        """Rounds that ended with another sum than the survivors'."""
        return [one for one in self.honest if one.wrong]

    @property
    def honest(self) -> Sequence[Survival]:
        """All rounds but those in which a client was made to spoil the sum."""
        return [one for one in self.survivals if one.kind != FORGETFUL]

    @property
    def lost(self) -> Sequence[Survival]:
        """Rounds within the declared rate that ended without a sum."""
        return [one for one in self.of(WITHIN) if one.aborted]

    @property
    def confirmed(self) -> bool:
        """Whether no simulated round speaks against the tolerance; where there is none, nothing does."""
        return not self.wrong and not any(one.aborted for one in self.of(TOLERATED))

    @property
    def controlled(self) -> bool:
        """Whether the control holds: what must go wrong does, and is seen."""
        if not self.survivals:
            return self.at_highest is not None and not self.at_highest.sufficient(sigma=0)
        overloaded, forgetful = self.of(OVERLOADED), self.of(FORGETFUL)
        return all(one.aborted for one in overloaded) and bool(forgetful) and all(one.wrong for one in forgetful)

    @property
    def at_highest(self) -> Assessment | None:
        """The control of the arithmetic: the same round with the highest threshold; None where it has that already."""
        if self.declared.threshold == self.declared.degree:
            return None
        return assess_parameters(**{**asdict(self.declared), "threshold": self.declared.degree})

    def of(self, *kinds: str) -> list[Survival]:
        """Return the rounds of some kinds."""
        return [one for one in self.survivals if one.kind in kinds]


@dataclass(frozen=True)
class _Decision:
    status: Status
    summary: str
    severity: Severity = Severity.MEDIUM
    remedy: Remedy | None = None
    reason: str = ""


def answered(borne: Borne, copied: tuple[str, ...], system: System, ctx: Context) -> Finding:
    """Return the finding; `copied` says how the simulated round differs from the declared one."""
    decision = _decided(borne)
    certain = borne.assessment.eta_certain or not borne.survivals
    return ctx.finding(
        decision.status,
        decision.summary,
        severity=decision.severity,
        strength=Strength.EXACT if certain else Strength.STATISTICAL,
        basis=Basis.MEASURED if borne.survivals else Basis.DECLARED,
        detail=_detail(borne),
        measurements=_measurements(borne),
        evidence=(_evidence(borne, ctx),),
        remedy=decision.remedy,
        limitations=(*copied, *_limitations(borne, system)),
        reason=decision.reason,
    )


def _decided(borne: Borne) -> _Decision:
    rounds, bits = len(borne.honest), in_words(borne.assessment.eta_bits)
    declared = f"the declared {borne.assessment.dropped} of {borne.declared.clients} drop-outs"
    if borne.wrong:
        first = borne.wrong[0]
        summary = f"{len(borne.wrong)} of {rounds} rounds ended with a wrong sum, the first with {_where(first)}."
        return _Decision(Status.FAIL, summary, Severity.HIGH, _replace_code(borne))
    if borne.lost:
        first = borne.lost[0]
        summary = (
            f"{len(borne.lost)} of {len(borne.of(WITHIN))} rounds within the declared rate were lost: {_where(first)}."
        )
        poor = not borne.assessment.sufficient(sigma=0) or (first.reason or "").startswith("policy-")
        return _Decision(
            Status.FAIL, summary, remedy=sufficient_parameters(borne.declared) if poor else _replace_code(borne)
        )
    if not borne.assessment.sufficient(sigma=0):
        summary = f"Under {declared} the sum has {bits} of correctness; {ETA:.0f} are wanted."
        return _Decision(Status.FAIL, summary, remedy=sufficient_parameters(borne.declared))
    if borne.claim is not None and borne.claim > borne.tolerance:
        summary = f"A drop-out tolerance of {borne.claim:g} is claimed; {borne.tolerance:g} is borne."
        text = f"Claim {borne.tolerance:g} or less, or choose a lower threshold."
        remedy = Remedy(parameter=CLAIM, direction="lower", value=str(borne.tolerance), text=text)
        return _Decision(Status.FAIL, summary, remedy=remedy)
    if not borne.controlled:
        summary = "What must fail did not fail or was not seen, so nothing is shown."
        if not borne.survivals:
            summary = (
                "Not even the highest threshold would lose the sum under these drop-outs: nothing could have failed."
            )
        return _Decision(Status.INCONCLUSIVE, summary, reason="control-failed")
    if not borne.confirmed:
        summary = (
            f"{declared[0].upper()}{declared[1:]} are survived, but not the {borne.dropped} that the numbers allow."
        )
        return _Decision(Status.INCONCLUSIVE, summary, reason="unconfirmed:dropout_tolerance")
    by = f"{rounds} simulated rounds gave the exact sum or none" if rounds else "by arithmetic alone"
    summary = f"Under {declared} the sum is unmasked ({bits}); {by}; {borne.tolerance:g} of the cohort may be lost."
    return _Decision(Status.PASS, summary)


def _where(one: Survival) -> str:
    ended = f", {one.reason}" if one.reason else ""
    return f"{one.dropped} of {one.clients} clients lost in {one.phase}{ended}"


def _replace_code(borne: Borne) -> Remedy:
    parameter = f"{SECTION}.protocol"
    if borne.code is Code.FLOWER:
        text = "Run the secure aggregation of secagg.flower in place of Flower's own: it goes on without who vanished."
        return Remedy(parameter=parameter, direction="set", value=OWN_PROTOCOL, text=text)
    text = "Correct the client or the server that was simulated; the evidence names the rounds."
    return Remedy(parameter=parameter, direction="set", text=text)


def _measurements(borne: Borne) -> Iterator[Measurement]:
    method = "union bound over hypergeometric tails (Bell et al. 2020, eprint 2020/704)"
    yield Measurement(
        name="eta_failure_probability",
        value=_probability(borne.assessment),
        method=method,
        threshold=Threshold(op="<=", limit=2.0**-ETA),
        control=None if borne.at_highest is None else _probability(borne.at_highest),
    )
    if borne.confirmed:
        rounds = len(borne.of(TOLERATED)) or None
        confirmed = ", confirmed in simulated rounds" if rounds else ""
        share = max(borne.claim or 0.0, borne.assessment.dropped / borne.declared.clients)
        yield Measurement(
            name="dropout_tolerance",
            value=borne.tolerance,
            n=rounds,
            method=f"largest share with {ETA:.0f} bits of correctness{confirmed}",
            threshold=Threshold(op=">=", limit=share),
        )
    if not borne.survivals:
        return
    forgetful = borne.of(FORGETFUL)
    yield proportion(
        "wrong_sums",
        [one.wrong for one in borne.honest],
        at_most=0.0,
        control=sum(one.wrong for one in forgetful) / len(forgetful) if forgetful else None,
    )
    overloaded = borne.of(OVERLOADED)
    yield proportion(
        "aborted_within_declared_rate",
        [one.aborted for one in borne.of(WITHIN)],
        at_most=0.0,
        control=sum(one.aborted for one in overloaded) / len(overloaded) if overloaded else None,
    )


def _probability(assessment: Assessment) -> float:
    return 0.0 if assessment.eta_bits is None else 2.0**-assessment.eta_bits


def _detail(borne: Borne) -> str:
    lines = [
        f"{_where(one)}: {'a wrong sum' if one.wrong else 'aborted' if one.aborted else 'the exact sum'} ({one.kind})"
        for one in borne.survivals
    ]
    return "\n".join(lines)


def _limitations(borne: Borne, system: System) -> Iterator[str]:
    if borne.code is Code.OWN:
        yield OWN_CODE
    if borne.code is Code.FLOWER:
        yield from flower_limits(FLOWER_WORKFLOW)
    if borne.survivals:
        yield "Clients vanish for good and at random; one that comes back, or crashes half-way, was not tried."
        return
    if code_of(system) is Code.FLOWER:
        yield f"No round was simulated: flwr is not installed ({INSTALL})."
    else:
        yield "No round was simulated: the declared protocol's code is not at hand."


def _evidence(borne: Borne, ctx: Context) -> str:
    document = {
        "schema": "fedaudit.secagg.dropout/1",
        "declared": asdict(borne.declared),
        "assessment": borne.assessment.as_fields(),
        "borne": {"dropped": borne.dropped, "tolerance": borne.tolerance, "confirmed": borne.confirmed},
        "claimed": borne.claim,
        "code": borne.code.value,
        "rounds": [one.as_fields() for one in borne.survivals],
    }
    return ctx.evidence("drop-outs", canonical_json(document), "application/json", Confidentiality.INTERNAL)
