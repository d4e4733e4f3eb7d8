"""Questions that the declaration of secure aggregation answers by arithmetic alone."""

from collections.abc import Iterator
from dataclasses import asdict, replace

from reports.canonical import canonical_json
from reports.check import Context, check
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
from secagg.declaration import SECTION, DeclaredRound, declared_round, missing_keys
from secagg.limits import ParameterError
from secagg.params import ETA, RULES, SIGMA, Assessment, InfeasibleParameters, in_words
from secagg.remedy import stronger_control, sufficient_parameters

METHOD = "union bound over hypergeometric tails (Bell et al. 2020, eprint 2020/704)"


@check(
    "secagg.parameters",
    "Degree and threshold reach 40 privacy bits and 20 correctness bits",
    needs=(f"{SECTION}|{SECTION}.transcripts",),
    controls=("EU-AIA:15(5)#confidentiality", "GDPR:32(1)(b)", "GDPR:32(1)(d)", "EU-AIA:annex-IV(2)(g)"),
    kinds=("secagg",),
    strength=Strength.EXACT,
    severity=Severity.HIGH,
)
def parameters(system: System, ctx: Context) -> Iterator[Finding]:
    """Assess the declared degree and threshold against the declared shares of corrupt and of dropped clients.

    Fails when privacy has less than 40 bits or correctness less than 20; a failure that cannot happen has more than any
    number of bits. Passes when neither falls short *and* the weakest choice, degree 2 and threshold 2, does fall short;
    if it does not, so few clients count as corrupt or dropped that nothing could fail, and the answer is inconclusive
    (`control-failed`). Skipped, with the key, when a number is not declared; inconclusive when no round can have it.
    """
    declared = declared_round(system)
    if declared is None:
        yield _skipped(system, ctx)
        return
    try:
        assessment = declared.assess()
    except ParameterError as error:
        yield _unassessable(error, declared, ctx)
        return
    yield _assessed(declared, assessment, system, ctx)


def _skipped(system: System, ctx: Context) -> Finding:
    lacking = missing_keys(system)
    recorded = "The parameters in recorded transcripts are not read by this check, so declare them."
    section = system.federation.secure_aggregation if system.federation else None
    return ctx.finding(
        Status.SKIPPED,
        f"The declaration lacks {', '.join(key.removeprefix(f'{SECTION}.') for key in lacking)}.",
        basis=Basis.DECLARED,
        limitations=(recorded,) if section is not None and section.transcripts else (),
        reason=f"missing:{lacking[0]}",
    )


def _unassessable(error: ParameterError, declared: DeclaredRound, ctx: Context) -> Finding:
    key = f"{SECTION}.{error.name}"
    return ctx.finding(
        Status.INCONCLUSIVE,
        f"No round can have the declared {error.name} {error.value}; allowed is {error.allowed}.",
        basis=Basis.DECLARED,
        remedy=sufficient_parameters(declared) or Remedy(parameter=key, direction="set", text=f"Correct {key}."),
        reason=f"invalid:{key}",
    )


def _assessed(declared: DeclaredRound, assessment: Assessment, system: System, ctx: Context) -> Finding:
    weakest = _weakest(declared)
    counted = f"With {assessment.corrupt} of {declared.clients} clients corrupt and {assessment.dropped} dropped"
    chosen = f"degree {declared.degree} and threshold {declared.threshold}"
    status, severity, reason = Status.PASS, Severity.HIGH, ""
    remedy: Remedy | None = None
    summary = (
        f"{counted}, {chosen} give {_amount(assessment.sigma_bits, 'privacy')} ({SIGMA:.0f} wanted) "
        f"and {_amount(assessment.eta_bits, 'correctness')} ({ETA:.0f} wanted)."
    )
    if not assessment.sufficient():
        status, remedy = Status.FAIL, sufficient_parameters(declared)
        if assessment.sufficient(eta=0):  # nobody is exposed; rounds are lost
            severity = Severity.MEDIUM
    elif weakest is None or weakest.sufficient():
        status, reason, remedy = Status.INCONCLUSIVE, "control-failed", stronger_control(declared)
        summary = f"{counted}, {chosen} suffice, but so would the weakest choice there is: nothing could have failed."
    choices = {rule: _choice(declared, rule) for rule in RULES}
    return ctx.finding(
        status,
        summary,
        severity=severity,
        basis=Basis.DECLARED,
        detail=_detail(assessment, weakest, choices),
        measurements=_measurements(assessment, weakest),
        evidence=(_evidence(declared, assessment, weakest, choices, ctx),),
        remedy=remedy,
        limitations=_limitations(assessment, system),
        reason=reason,
    )


def _weakest(declared: DeclaredRound) -> Assessment | None:
    """Return the positive control: what degree 2 and threshold 2 are worth; None where two neighbours do not exist."""
    return replace(declared, degree=2, threshold=2).assess() if declared.clients > 2 else None


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
    yield "This follows from declared numbers; whether a round kept to them only its transcript can show."
    trust = system.federation.server_trust if system.federation else None
    if trust != assessment.server_trust:
        told = "is declared trusted" if trust else "is not declared"
        yield f"server_trust {told}; the server is judged as {assessment.server_trust}."
    if assessment.sufficient() and not replace(assessment, sigma_bits=assessment.sigma_bits_one_more).sufficient():
        yield f"One corrupt client more than declared leaves {_amount(assessment.sigma_bits_one_more, 'privacy')}."


def _evidence(
    declared: DeclaredRound,
    assessment: Assessment,
    weakest: Assessment | None,
    choices: dict[str, Assessment | InfeasibleParameters],
    ctx: Context,
) -> str:
    document = {
        "schema": "fedaudit.secagg.assessment/1",
        "declared": asdict(declared),
        "wanted": {"sigma_bits": SIGMA, "eta_bits": ETA},
        "assessment": assessment.as_fields(),
        "control": weakest.as_fields() if weakest else None,
        "choices": {
            rule: {"infeasible": str(choice)} if isinstance(choice, InfeasibleParameters) else choice.as_fields()
            for rule, choice in choices.items()
        },
    }
    data = canonical_json(document)
    return ctx.evidence("assessment of the secure aggregation", data, "application/json", Confidentiality.INTERNAL)
