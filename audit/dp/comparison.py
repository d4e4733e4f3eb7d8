"""What a finding of `dp.accounting` says: a claim held against the recomputed epsilon, in words and numbers."""

import math
from dataclasses import dataclass

from audit.dp.accounting import Fault, Recomputed, consistency_faults, lacking, recompute
from audit.dp.claim import Claim, answer
from audit.dp.gaussian import gdp_epsilon, gdp_mu
from reports.check import Context
from reports.model import (
    Basis,
    DifferentialPrivacy,
    Finding,
    Interval,
    Measurement,
    Remedy,
    Status,
    System,
    Threshold,
)
from reports.plot import IntervalRow, IntervalsPlot

SECTION = "federation.differential_privacy"
_CERTAIN = 0.999999
"""Confidence of bounds on numerical error: they hold, and an interval's confidence lies below 1."""


@dataclass(frozen=True)
class Subject:
    """What the claims are held against."""

    declared: DifferentialPrivacy
    """As declared."""
    used: DifferentialPrivacy
    """With what the federation adds to it."""
    system: System
    """Whose it is."""
    examples: int | None
    """Records in the training set, where the trainer's record says so."""

    @property
    def examples_per_client(self) -> int | None:
        """As many as some client holds at least; None where the numbers are not known."""
        clients = self.system.federation.clients if self.system.federation else None
        return None if clients is None or self.examples is None else math.ceil(self.examples / clients)

    @property
    def limitations(self) -> tuple[str, ...]:
        """What the arithmetic does not show."""
        said = ["It follows from what is declared; whether that noise was added, and to what, is another question."]
        said.append("Neighbouring data sets differ by one unit added or removed.")
        keys = ("steps",) if self.used.sampling == "full" else ("sampling_rate", "steps")
        filled = [key for key in keys if getattr(self.declared, key) != getattr(self.used, key)]
        if filled:
            said.append(f"{' and '.join(filled)} as the federation's rounds and clients have it.")
        if self.used.sampling in ("shuffle", "fixed-size"):
            said.append(f"No amplification is credited to {self.used.sampling} sampling (arXiv:2403.17673).")
        if self.used.sampling == "fixed-size":
            said.append("A unit is counted in as many sums as a draw of fixed size gives it on average.")
        if self.used.unit == "example" and self.examples is None:
            said.append("Delta was not compared with the number of examples, which is not declared.")
        if self.system.federation is not None and self.used.unit == "client" and self.system.federation.clients is None:
            said.append("Delta was not compared with the number of clients, which is not declared.")
        return tuple(said)


def held_against(claim: Claim, subject: Subject, ctx: Context) -> Finding:
    """Return the finding on one claim."""
    declared = subject.used.model_copy(update={"delta": claim.delta})
    if not declared.noise_multiplier:
        return _no_noise(claim, declared, subject, ctx)
    faults = consistency_faults(
        subject.declared,
        subject.system.federation,
        delta=claim.delta,
        privacy_unit=claim.unit,
        examples=subject.examples,
    )
    if missing := lacking(declared):
        return _incomplete(claim, missing[0], faults, subject, ctx)
    found = recompute(declared)
    decided = answer(claim.epsilon, found, faults)
    status, reason = decided.status, decided.reason
    if status is Status.PASS and declared.unit is None:
        status, reason = Status.INCONCLUSIVE, f"missing:{SECTION}.unit"
    return ctx.finding(
        status,
        _summary(status, reason, claim, found, faults),
        basis=Basis.DECLARED,
        detail=_detail(found, faults) + _of_a_group(claim, found, subject),
        measurements=_measurements(found, claim),
        evidence=(ctx.plot(_plot(found, claim)),),
        remedy=_remedy(status, reason, claim, found, faults),
        limitations=subject.limitations,
        reason=reason,
    )


def _summary(status: Status, reason: str, claim: Claim, found: Recomputed, faults: tuple[Fault, ...]) -> str:
    gives = f"The declared mechanism gives epsilon {found.estimate:.4g} at delta {claim.delta:g}"
    if status is Status.FAIL and answer(claim.epsilon, found).status is Status.FAIL:
        return f"{gives}, and no less than {found.lower:.4g}; {claim.epsilon:g} is claimed."
    if faults:
        return faults[0].text
    if reason.startswith("missing"):
        return f"{gives}; whom it protects, a client or an example, is not declared."
    if reason == "control-failed":
        return f"{gives}, too little to tell a false claim from a true one."
    if status is Status.INCONCLUSIVE:
        return f"{gives}, up to {found.upper:.4g}; the claim of {claim.epsilon:g} lies within the margin of error."
    return f"{gives}; the {claim.epsilon:g} claimed for each {claim.unit} covers it."


def _detail(found: Recomputed, faults: tuple[Fault, ...]) -> str:
    bounds = (
        f"{found.estimate:.6g}" if found.exact else f"{found.estimate:.6g}, in [{found.lower:.6g}, {found.upper:.6g}]"
    )
    central = "none" if found.gdp is None else f"{found.gdp:.6g}" + ("" if found.exact else ", which can be too low")
    figures = f"Recomputed epsilon: {bounds} ({found.method}). Rényi: {found.rdp:.6g}. Gaussian (GDP): {central}."
    control = f"Positive control: the same comparison refutes a claim of {found.lower / 2:.6g}."
    return "\n".join(
        [*(f"{fault.parameter}: {fault.text}" for fault in faults), figures, control if found.lower else ""]
    )


def _of_a_group(claim: Claim, found: Recomputed, subject: Subject) -> str:
    """Return what the examples of one client add up to, where the claim protects clients and the mechanism examples.

    A mu-GDP mechanism is k mu-GDP for groups of k (arXiv:1905.02383, theorem 2.14).
    """
    count = subject.examples_per_client
    if not (found.exact and count and claim.delta and (claim.unit, subject.declared.unit) == ("client", "example")):
        return ""
    whole = gdp_epsilon(count * gdp_mu(found.lower, claim.delta), claim.delta)
    return f"\nA client of {count} examples, of whom there is one at least, has epsilon {whole:.4g} by group privacy."


def _measurements(found: Recomputed, claim: Claim | None) -> tuple[Measurement, ...]:
    interval = None if found.exact else Interval(low=found.lower, high=found.upper, confidence=_CERTAIN)
    limit = None if claim is None else Threshold(op="<=", limit=claim.epsilon)
    figures = [
        Measurement(
            name="epsilon_accounted", value=found.estimate, interval=interval, method=found.method, threshold=limit
        ),
        Measurement(name="epsilon_rdp", value=found.rdp, method="Rényi accountant (arXiv:1908.10530), an upper bound"),
    ]
    if found.gdp is not None:
        by_limit = "Gaussian differential privacy by the central limit (arXiv:1911.11607); can be too low"
        method = "Gaussian differential privacy (arXiv:1905.02383), exact here" if found.exact else by_limit
        figures.append(Measurement(name="epsilon_gdp", value=found.gdp, method=method))
    return (*figures, _claimed(claim)) if claim is not None else tuple(figures)


def _claimed(claim: Claim) -> Measurement:
    return Measurement(name="epsilon_claimed", value=claim.epsilon, method=f"as declared in {claim.parameter}")


def _plot(found: Recomputed, claim: Claim) -> IntervalsPlot:
    figures = [("privacy random variable", found.estimate, found.lower, found.upper), ("Rényi", found.rdp, None, None)]
    if found.exact:
        figures[0] = ("closed form", found.estimate, None, None)
    if found.gdp is not None:
        figures.append(("Gaussian (GDP)", found.gdp, None, None))
    rows = [IntervalRow(label=name, value=v, low=low, high=high, limit=claim.epsilon) for name, v, low, high in figures]
    rows.append(IntervalRow(label="claimed", value=claim.epsilon))
    return IntervalsPlot(
        title="Claimed epsilon beside the recomputed", x=f"epsilon at delta {claim.delta:g}", rows=tuple(rows)
    )


def _remedy(status: Status, reason: str, claim: Claim, found: Recomputed, faults: tuple[Fault, ...]) -> Remedy | None:
    if status is Status.PASS:
        return None
    if faults:
        value = "client" if faults[0].parameter.endswith(".unit") else None
        text = f"Mend what contradicts: {faults[0].text}"
        return Remedy(parameter=faults[0].parameter, direction=faults[0].direction, value=value, text=text)
    if reason.startswith("missing"):
        return Remedy(parameter=f"{SECTION}.unit", direction="add", text="Say whom the noise hides: client or example.")
    at_least = f"{found.claimable:g}"
    text = f"Claim {at_least} or more, or raise noise_multiplier until the claim holds."
    return Remedy(parameter=claim.parameter, direction="raise", value=at_least, text=text)


def _no_noise(claim: Claim, declared: DifferentialPrivacy, subject: Subject, ctx: Context) -> Finding:
    why = "no noise multiplier is declared" if declared.noise_multiplier is None else "the noise multiplier is zero"
    return ctx.finding(
        Status.FAIL,
        f"Epsilon {claim.epsilon:g} is claimed, but {why}; without noise no finite epsilon follows.",
        basis=Basis.DECLARED,
        measurements=(_claimed(claim),),
        remedy=Remedy(
            parameter=f"{SECTION}.noise_multiplier",
            direction="add" if declared.noise_multiplier is None else "raise",
            text="Add noise to every sum and declare its multiplier, or withdraw the claim.",
        ),
        limitations=subject.limitations,
    )


def _incomplete(claim: Claim, key: str, faults: tuple[Fault, ...], subject: Subject, ctx: Context) -> Finding:
    status = Status.FAIL if faults else Status.INCONCLUSIVE
    add = Remedy(parameter=f"{SECTION}.{key}", direction="add", text=f"Declare {key}, on which epsilon depends.")
    return ctx.finding(
        status,
        faults[0].text
        if faults
        else f"Epsilon {claim.epsilon:g} is claimed, but {key} is not declared: nothing follows.",
        basis=Basis.DECLARED,
        detail="\n".join(f"{fault.parameter}: {fault.text}" for fault in faults),
        measurements=(_claimed(claim),),
        remedy=Remedy(parameter=faults[0].parameter, direction=faults[0].direction, text=faults[0].text)
        if faults
        else add,
        limitations=subject.limitations,
        reason="" if faults else f"missing:{SECTION}.{key}",
    )


def without_claim(subject: Subject, ctx: Context) -> Finding:
    """Return the finding on a mechanism of which nothing is claimed."""
    if not subject.used.noise_multiplier:
        summary = "Neither noise nor an epsilon is declared, so there is nothing to recompute."
        return ctx.finding(Status.SKIPPED, summary, basis=Basis.DECLARED, reason="not-applicable:nothing-claimed")
    found = None if lacking(subject.used) else recompute(subject.used)
    worth = f"gives epsilon {found.estimate:.4g} at delta {subject.used.delta:g}" if found else "is declared"
    remedy = Remedy(
        parameter="claims.epsilon",
        direction="add",
        value=f"{found.claimable:g}" if found else None,
        text="State the epsilon that you answer for, with its delta.",
    )
    return ctx.finding(
        Status.INCONCLUSIVE,
        f"A mechanism {worth}, but no epsilon is claimed that could be held against it.",
        basis=Basis.DECLARED,
        measurements=_measurements(found, None) if found else (),
        remedy=remedy,
        limitations=subject.limitations,
        reason="missing:claims.epsilon",
    )
