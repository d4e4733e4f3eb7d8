"""One finding on degree and threshold: what they are worth, what the weakest choice would be, what would suffice."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

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
    System,
    Threshold,
)
from secagg.declaration import DeclaredRound
from secagg.params import ETA, RULES, SIGMA, Assessment, InfeasibleParameters, in_words
from secagg.remedy import stronger_control, sufficient_parameters

METHOD = "union bound over hypergeometric tails (Bell et al. 2020, eprint 2020/704)"
_ORDER = (Status.FAIL, Status.INCONCLUSIVE, Status.PASS)


@dataclass(frozen=True)
class Judged:
    """Parameters, their worth, and that of the weakest choice there is for the same cohort."""

    parameters: DeclaredRound
    assessment: Assessment
    weakest: Assessment | None
    """The positive control: degree 2 and threshold 2; None where two neighbours do not exist."""

    @classmethod
    def of(cls, parameters: DeclaredRound) -> "Judged":
        """Assess the parameters.

        Raises:
            secagg.limits.ParameterError: a number that no round can have.
        """
        weakest = replace(parameters, degree=2, threshold=2).assess() if parameters.clients > 2 else None
        return cls(parameters, parameters.assess(), weakest)

    @property
    def status(self) -> Status:
        """Fail where a level falls short; pass only where the weakest choice does."""
        if not self.assessment.sufficient():
            return Status.FAIL
        return Status.INCONCLUSIVE if self.weakest is None or self.weakest.sufficient() else Status.PASS

    @property
    def rank(self) -> tuple[float, ...]:
        """Smaller for what is worse."""
        levels = (self.assessment.sigma_bits, self.assessment.eta_bits)
        return (_ORDER.index(self.status), *(float("inf") if level is None else level for level in levels))


def assessed(
    judged: Judged,
    system: System,
    ctx: Context,
    *,
    basis: Basis,
    key: str = "",
    which: str = "",
    limitations: tuple[str, ...] = (),
) -> Finding:
    """Return the finding on judged parameters.

    Args:
        judged: What was judged.
        system: Says whom the server is taken for.
        ctx: Writes the finding and keeps its evidence.
        basis: Whether the parameters were declared or recorded.
        key: Of the finding.
        which: Whose parameters they are, to begin the summary with.
        limitations: What the finding does not show, by its basis.
    """
    declared, assessment, weakest, status = judged.parameters, judged.assessment, judged.weakest, judged.status
    counted = f"With {assessment.corrupt} of {declared.clients} clients corrupt and {assessment.dropped} dropped"
    chosen = f"degree {declared.degree} and threshold {declared.threshold}"
    severity, reason = Severity.HIGH, ""
    remedy: Remedy | None = None
    summary = (
        f"{counted}, {chosen} give {_amount(assessment.sigma_bits, 'privacy')} ({SIGMA:.0f} wanted) "
        f"and {_amount(assessment.eta_bits, 'correctness')} ({ETA:.0f} wanted)."
    )
    if status is Status.FAIL:
        remedy = sufficient_parameters(declared)
        if assessment.sufficient(eta=0):  # nobody is exposed; rounds are lost
            severity = Severity.MEDIUM
    elif status is Status.INCONCLUSIVE:
        reason, remedy = "control-failed", stronger_control(declared)
        summary = f"{counted}, {chosen} suffice, but so would the weakest choice there is: nothing could have failed."
    choices = {rule: _choice(declared, rule) for rule in RULES}
    return ctx.finding(
        status,
        which + summary[0].lower() + summary[1:] if which else summary,
        key=key,
        severity=severity,
        basis=basis,
        detail=_detail(assessment, weakest, choices),
        measurements=_measurements(assessment, weakest),
        evidence=(_evidence(judged, basis, choices, ctx),),
        remedy=remedy,
        limitations=(*limitations, *_limitations(assessment, system)),
        reason=reason,
    )


def _choice(declared: DeclaredRound, rule: str) -> Assessment | InfeasibleParameters:
    try:
        return declared.select(rule).assessment
    except InfeasibleParameters as error:
        return error


def _measurements(assessment: Assessment, weakest: Assessment | None) -> Iterator[Measurement]:
    """Yield the levels: in bits where the failure is possible at all, and always as its probability."""
    for name, level, wanted, control in (
        ("sigma", assessment.sigma_bits, SIGMA, weakest.sigma_bits if weakest else None),
        ("eta", assessment.eta_bits, ETA, weakest.eta_bits if weakest else None),
    ):
        if level is not None:
            yield Measurement(
                name=f"{name}_bits",
                value=level,
                unit="bit",
                method=METHOD,
                threshold=Threshold(op=">=", limit=wanted),
                control=control,
            )
        yield Measurement(
            name=f"{name}_failure_probability",
            value=_probability(level),
            method=METHOD,
            threshold=Threshold(op="<=", limit=2.0**-wanted),
            control=_probability(control) if weakest else None,
        )
    if assessment.sigma_bits_one_more is not None:
        yield Measurement(
            name="sigma_bits_one_more",
            value=assessment.sigma_bits_one_more,
            unit="bit",
            method=f"{METHOD}, one corrupt client more than declared",
        )


def _probability(level: float | None) -> float:
    return 0.0 if level is None else 2.0**-level


def _amount(level: float | None, noun: str) -> str:
    return f"certain {noun}" if level is None else f"{level:.1f} bits of {noun}"


def _detail(
    assessment: Assessment, weakest: Assessment | None, choices: dict[str, Assessment | InfeasibleParameters]
) -> str:
    lines = [
        "Privacy of b bits: the server learns more than the sum of all survivors with probability 2^-b at most.",
        "Correctness of b bits: the sum cannot be unmasked with probability 2^-b at most. Certain: it cannot happen.",
        f"With one more corrupt client, privacy: {in_words(assessment.sigma_bits_one_more)}.",
    ]
    if weakest is not None:
        levels = f"privacy {in_words(weakest.sigma_bits)}, correctness {in_words(weakest.eta_bits)}"
        lines.append(f"Control: degree 2 and threshold 2 have {levels}.")
    for rule, choice in choices.items():
        if isinstance(choice, InfeasibleParameters):
            lines.append(f"The {rule} rule finds no choice: {choice}.")
        else:
            levels = f"privacy {in_words(choice.sigma_bits)}, correctness {in_words(choice.eta_bits)}"
            lines.append(f"The {rule} rule takes degree {choice.degree} and threshold {choice.threshold}: {levels}.")
    return "\n".join(lines)


def _limitations(assessment: Assessment, system: System) -> Iterator[str]:
    trust = system.federation.server_trust if system.federation else None
    if trust != assessment.server_trust:
        told = f"is declared {trust}" if trust else "is not declared"
        yield f"server_trust {told}; the server is judged as {assessment.server_trust}."
    if assessment.sufficient() and not replace(assessment, sigma_bits=assessment.sigma_bits_one_more).sufficient():
        yield f"One corrupt client more than declared leaves {_amount(assessment.sigma_bits_one_more, 'privacy')}."


def _evidence(judged: Judged, basis: Basis, choices: dict[str, Assessment | InfeasibleParameters], ctx: Context) -> str:
    document = {
        "schema": "fedaudit.secagg.assessment/1",
        basis.value: asdict(judged.parameters),
        "wanted": {"sigma_bits": SIGMA, "eta_bits": ETA},
        "assessment": judged.assessment.as_fields(),
        "control": judged.weakest.as_fields() if judged.weakest else None,
        "choices": {
            rule: {"infeasible": str(choice)} if isinstance(choice, InfeasibleParameters) else choice.as_fields()
            for rule, choice in choices.items()
        },
    }
    data = canonical_json(document)
    return ctx.evidence("assessment of the secure aggregation", data, "application/json", Confidentiality.INTERNAL)
