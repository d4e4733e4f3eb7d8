"""`secagg.client-conformance`: whether the client declines what a hostile server asks of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reports.canonical import canonical_json
from reports.check import Context, check
from reports.model import (
    Confidentiality,
    Effort,
    Finding,
    Measurement,
    Remedy,
    Severity,
    Status,
    Strength,
    System,
    Threshold,
)
from secagg.checks.active import (
    CODE_AT_HAND,
    CONFIDENTIALITY,
    OWN_CODE,
    OWN_PROTOCOL,
    SECURITY,
    TESTED,
    Code,
    code_of,
    flower_limits,
    not_at_hand,
)
from secagg.checks.rehearsed import rehearsed_round
from secagg.declaration import SECTION
from secagg.failures import MALICIOUS
from secagg.malice import FEWEST_CLIENTS, KNOBS, drive_knob
from secagg.outcome import AttackOutcome
from secagg.params import InfeasibleParameters, assess_parameters
from secagg.setting import RoundConfig

CLIENTS = {Effort.SMOKE: FEWEST_CLIENTS, Effort.STANDARD: 12, Effort.FULL: 20}
LENGTH = 100
STRICT, WEAK = "strict", "weak"


@dataclass(frozen=True)
class Trial:
    """One lie to one kind of client."""

    knob: str
    client: str
    config: RoundConfig


def driven(trial: Trial, rng: np.random.Generator) -> AttackOutcome:
    """Run a trial."""
    return drive_knob(trial.knob, trial.client, config=trial.config, rng=rng)


@dataclass(frozen=True)
class Answer:
    """What the client under review made of a knob, and what one without defences did."""

    asked: AttackOutcome
    control: AttackOutcome | None
    """None for a lie that our own clients cannot be told."""

    @property
    def fell_for_it(self) -> bool:
        """Whether the control shows that the lie can be believed: it is accepted, or the vector leaks."""
        return self.control is None or self.control.leaked or not self.control.refused


@check(
    "secagg.client-conformance",
    "The client refuses a hostile server",
    needs=CODE_AT_HAND,
    controls=(CONFIDENTIALITY, SECURITY, *TESTED),
    kinds=("secagg",),
    strength=Strength.EXACT,
    severity=Severity.HIGH,
)
def client_conformance(system: System, ctx: Context) -> Iterator[Finding]:
    """Tell a cohort of clients every lie of a hostile server, and see who declines and what leaks (`secagg.malice`).

    Fails when a lie is accepted; critical where the server then works out a client's own vector. Passes when every lie
    is refused *and* a client without defences accepts it or leaks (control); inconclusive (`control-failed`) else.
    """
    if (skipped := not_at_hand(system, ctx)) is not None:
        yield skipped
        return
    if code_of(system) is Code.FLOWER:
        yield _finding(*_flowers(ctx), ctx)
    else:
        yield _finding(*_ours(system, ctx), ctx)


def _ours(system: System, ctx: Context) -> tuple[list[Answer], list[str]]:
    """Return the answers of our client and what they do not show."""
    config, told = _hostile_round(system, CLIENTS[ctx.effort])
    trials = [Trial(knob, client, config) for knob in KNOBS for client in (STRICT, WEAK)]
    outcomes = list(ctx.map(driven, trials, purpose="knobs"))
    answers = [Answer(asked, control) for asked, control in zip(outcomes[::2], outcomes[1::2], strict=True)]
    loosened = [one.asked.knob for one in answers if one.asked.loosened]
    if loosened:
        told.append(f"For {', '.join(loosened)} the clients' demand on privacy was waived, else it would refuse first.")
    return answers, [*told, OWN_CODE]


def _hostile_round(system: System, most: int) -> tuple[RoundConfig, list[str]]:
    """Return the declared round against a malicious server, with a degree and threshold that clients would join."""
    rehearsed = rehearsed_round(system, most, LENGTH)
    config, told = replace(rehearsed.config, server_trust=MALICIOUS), list(rehearsed.limitations)
    if config.clients < FEWEST_CLIENTS:
        told.append(f"Driven with {FEWEST_CLIENTS} clients: fewer cannot be told every lie.")
        config = RoundConfig(FEWEST_CLIENTS, LENGTH, modulus_bits=config.modulus_bits, server_trust=MALICIOUS)
    if config.degree is not None and config.threshold is not None:
        shares = (config.corrupt_fraction, config.dropout_fraction)
        if assess_parameters(config.clients, config.degree, config.threshold, *shares, MALICIOUS).sufficient():
            return config, told
        told.append("Against a malicious server the declared parameters would be refused; the guarded choice was run.")
    config = replace(config, degree=None, threshold=None)
    try:
        return config.chosen(), told
    except InfeasibleParameters:
        told.append("No choice bears the declared shares of corrupt and lost clients; 0.05 each were taken.")
        return replace(config, corrupt_fraction=0.05, dropout_fraction=0.05).chosen(), told


def _flowers(ctx: Context) -> tuple[list[Answer], list[str]]:
    """Return the answers of Flower's client and what they do not show."""
    from secagg.flower.conformance import FLOWER_KNOBS, UNASKED, drive_flower_knob, flower_client

    weak = RoundConfig(FEWEST_CLIENTS, LENGTH)
    answers = []
    for done, knob in enumerate(FLOWER_KNOBS, start=1):
        control = drive_knob(knob, WEAK, config=weak, rng=ctx.rng(f"control {knob}")) if knob in KNOBS else None
        answers.append(Answer(drive_flower_knob(knob), control))
        ctx.progress(done, len(FLOWER_KNOBS))
    unasked = [f"{knob} was not asked: {why}." for knob, why in UNASKED.items()]
    refusal = "A refusal is any exception of the client; Flower has no codes for it."
    return answers, [*flower_limits(flower_client()), refusal, *unasked]


def _finding(answers: Sequence[Answer], limitations: Sequence[str], ctx: Context) -> Finding:
    accepted = [one.asked for one in answers if not one.asked.refused or one.asked.leaked]
    leaked = [one.knob for one in accepted if one.leaked]
    powerless = [one.asked.knob for one in answers if not one.fell_for_it]
    status, severity, reason, remedy = Status.PASS, Severity.HIGH, "", None
    if accepted:
        status, remedy = Status.FAIL, _remedy()
        severity = Severity.CRITICAL if leaked else Severity.HIGH
        summary = (
            f"{len(accepted)} of {len(answers)} lies of a hostile server were accepted; "
            f"{len(leaked)} of them gave a client's own vector away."
        )
    elif powerless:
        status, reason = Status.INCONCLUSIVE, "control-failed"
        summary = f"A client without defences declined as well ({', '.join(powerless[:5])}), so nothing is shown."
    else:
        summary = f"All {len(answers)} lies of a hostile server were refused; a client without defences took each."
    lines = [f"{one.knob}: accepted{', and the vector leaks' if one.leaked else ''}" for one in accepted]
    return ctx.finding(
        status,
        summary,
        severity=severity,
        detail="\n".join(lines),
        measurements=[_measurement(one) for one in answers],
        evidence=(_evidence(answers, ctx),),
        remedy=remedy,
        limitations=(*limitations, "Lies other than these were not told."),
        reason=reason,
    )


def _measurement(one: Answer) -> Measurement:
    return Measurement(
        name=f"refused.{one.asked.knob.replace('-', '_')}",
        value=float(one.asked.refused and not one.asked.leaked),
        n=1,
        method="one hostile round; 1 where everybody who was lied to declined; control: a client without defences",
        threshold=Threshold(op=">=", limit=1),
        control=None if one.control is None else float(one.control.refused and not one.control.leaked),
    )


def _evidence(answers: Sequence[Answer], ctx: Context) -> str:
    document = {
        "schema": "fedaudit.secagg.client-conformance/1",
        "knobs": [
            {
                **one.asked.as_fields(),
                "expected": KNOBS[one.asked.knob].code if one.asked.knob in KNOBS else None,
                "control": None if one.control is None else one.control.as_fields(),
            }
            for one in answers
        ],
    }
    return ctx.evidence("hostile rounds", canonical_json(document), "application/json", Confidentiality.INTERNAL)


def _remedy() -> Remedy:
    return Remedy(
        parameter=f"{SECTION}.protocol",
        direction="set",
        value=OWN_PROTOCOL,
        text="Let clients check what the server proposes before they answer, as secagg.policy does; for Flower, "
        "secagg.flower has a mod that can be put in place of its own.",
    )
