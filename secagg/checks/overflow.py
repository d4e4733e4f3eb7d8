"""`secagg.overflow`: whether the largest sum of a cohort fits into the ring."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from reports.canonical import canonical_json
from reports.check import Context, check
from reports.model import (
    Basis,
    Confidentiality,
    Finding,
    Measurement,
    Remedy,
    SecureAggregation,
    Severity,
    Status,
    Strength,
    System,
    Threshold,
)
from secagg.checks.recorded import DECLARED_ALONE, as_recorded, lacking, read_rounds
from secagg.checks.transcript_answer import judge, told, verification_evidence
from secagg.checks.transcript_codes import TRANSCRIPTS
from secagg.checks.transcript_question import Question
from secagg.checks.transcript_rounds import section_of
from secagg.declaration import SECTION
from secagg.quantize import largest_levels
from secagg.verification import VerifiedRound

WIDEST_RING = 1024
"""Bits beyond which a declared ring is taken for a slip."""
_NEEDED = ("clients", "quantization_levels", "modulus_bits")
_QUESTION = Question(sound="No sum in {rounds} can wrap around its ring.", planted=("overflow",))


@dataclass(frozen=True)
class Load:
    """What a ring has to hold."""

    clients: int
    levels: int
    max_weight: int
    modulus_bits: int

    @property
    def wraps(self) -> bool:
        """Whether some sum of the cohort reaches 2^modulus_bits."""
        return self._largest.bit_length() > self.modulus_bits

    @property
    def headroom(self) -> float:
        """How often the largest sum could double and still fit, in bits; negative where it does not fit."""
        return self.modulus_bits - math.log2(self._largest + 1)

    @property
    def _largest(self) -> int:
        return self.clients * self.levels * self.max_weight

    def one_level_more(self) -> "Load":
        """Return the control: as many levels as fit, and one more."""
        most = ((1 << self.modulus_bits) - 1) // (self.clients * self.max_weight)
        return replace(self, levels=most + 1)


@check(
    "secagg.overflow",
    "No sum can wrap around the ring",
    needs=(f"{SECTION}|{TRANSCRIPTS}",),
    controls=("EU-AIA:15(4)", "GDPR:32(1)(d)", "EU-AIA:annex-IV(2)(g)"),
    kinds=("secagg",),
    strength=Strength.EXACT,
    severity=Severity.HIGH,
)
def overflow(system: System, ctx: Context) -> Iterator[Finding]:
    """Hold clients * levels * max_weight against 2^modulus_bits, as declared and as recorded.

    Fails when the product reaches the ring: a sum that wraps is wrong without an error. Passes when it does not *and*
    it would with the smallest number of levels that is too many (of a record: and verification notices planted ones).
    A declaration without `max_weight` is judged with 1, and the finding says so. One finding is on the declaration and
    one, with the key `recorded`, on the rounds; skipped, with the missing key, when there is neither.
    """
    section, records = section_of(system), read_rounds(system, ctx)
    missing = [key for key in _NEEDED if getattr(section, key) is None]
    if not missing:
        yield _on_declaration(section, ctx)
    if isinstance(records, Finding):
        yield records
    elif records is not None:
        judged = judge(_QUESTION, records, system, ctx)
        evidence, headroom = verification_evidence(records, ctx), _recorded_headroom(judged.rounds)
        yield as_recorded(told(_QUESTION, judged, ctx, evidence=evidence, measurements=headroom), system)
    elif missing:
        yield lacking(missing, ctx)


def _on_declaration(section: SecureAggregation, ctx: Context) -> Finding:
    load = Load(
        section.clients or 1, section.quantization_levels or 1, section.max_weight or 1, section.modulus_bits or 1
    )
    if load.modulus_bits > WIDEST_RING:
        key = f"{SECTION}.modulus_bits"
        return ctx.finding(
            Status.INCONCLUSIVE,
            f"No ring has the declared {load.modulus_bits} bits; allowed is 1 to {WIDEST_RING}.",
            basis=Basis.DECLARED,
            remedy=Remedy(
                parameter=key, direction="set", value="64", text="Declare the ring's width, such as 64 bits."
            ),
            reason=f"invalid:{key}",
        )
    control = load.one_level_more()
    status, reason = (Status.FAIL, "") if load.wraps else (Status.PASS, "")
    if status is Status.PASS and not control.wraps:
        status, reason = Status.INCONCLUSIVE, "control-failed"
    weight = "" if section.max_weight else " (no max_weight is declared: 1 is taken)"
    can = "can" if load.wraps else "cannot"
    limits = [DECLARED_ALONE]
    if section.max_weight is None:
        limits.append("max_weight is not declared and was taken as 1; integer weights above it need more room.")
    return ctx.finding(
        status,
        f"{load.clients} clients with {load.levels} levels and weights up to {load.max_weight}{weight} "
        f"{can} sum beyond a ring of {load.modulus_bits} bits.",
        basis=Basis.DECLARED,
        measurements=(_headroom(load, control),),
        evidence=(_evidence(load, control, ctx),),
        remedy=_remedy(load) if load.wraps else None,
        limitations=limits,
        reason=reason,
    )


def _recorded_headroom(rounds: tuple[VerifiedRound, ...]) -> Iterator[Measurement]:
    """Yield the headroom of the fullest recorded ring; nothing where no header states one."""
    headers = [one.header for one in rounds if one.header is not None]
    loads = [
        Load(len(one.clients), one.quantization.levels, one.quantization.max_weight, one.modulus_bits)
        for one in headers
        if one.modulus_bits <= WIDEST_RING and one.clients
    ]
    if loads:
        fullest = min(loads, key=lambda load: load.headroom)
        yield _headroom(fullest, fullest.one_level_more(), len(loads))


def _headroom(load: Load, control: Load, rounds: int | None = None) -> Measurement:
    return Measurement(
        name="headroom_bits",
        value=load.headroom,
        unit="bit",
        n=rounds,
        method="modulus_bits - log2(clients * levels * max_weight + 1); control: the least levels that are too many",
        threshold=Threshold(op=">=", limit=0),
        control=control.headroom,
    )


def _remedy(load: Load) -> Remedy:
    most = largest_levels(load.clients, load.modulus_bits, load.max_weight)
    if most >= 1:
        text = f"Take at most {most} levels, or a ring of 64 bits."
        return Remedy(parameter=f"{SECTION}.quantization_levels", direction="lower", value=str(most), text=text)
    text = "Take a ring of 64 bits: in the declared one not even a single level fits."
    return Remedy(parameter=f"{SECTION}.modulus_bits", direction="raise", value="64", text=text)


def _evidence(load: Load, control: Load, ctx: Context) -> str:
    document = {
        "schema": "fedaudit.secagg.overflow/1",
        "declared": {**asdict(load), "wraps": load.wraps},
        "control": {**asdict(control), "levels": str(control.levels), "wraps": control.wraps},  # may pass 2^53
    }
    data = canonical_json(document)
    return ctx.evidence("room in the ring", data, "application/json", Confidentiality.INTERNAL)
