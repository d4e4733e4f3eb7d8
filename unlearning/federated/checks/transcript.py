"""`unlearning.federated.transcript`: whether the record of an unlearning hangs together, and with the files."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from reports.check import Context, check
from reports.model import (
    Basis,
    ErasureRequest,
    Finding,
    Measurement,
    Remedy,
    Severity,
    Status,
    Strength,
    System,
    Threshold,
)  # fmt: skip
from reports.nouns import printable
from unlearning.federated.checks.verified import CONTROLS, KINDS, asked, delivered_of, key_of
from unlearning.federated.delivered import Delivered
from unlearning.federated.delivered_record import DELIVERED_FAULTS
from unlearning.federated.transcript import Transcript, TranscriptFault, verify_transcript

LEAST_NOISE = 0.99
"""Of the claimed noise: a recorded one below it is another one, not a rounded one."""
SHOWN = 20
"""Faults that are listed; the rest are counted."""
TELLING = ("unchanged", "forget-client", "before", "after")
"""Codes that say most, most first: they head the summary."""
FORGEABLE = "A transcript can be written after the fact (arXiv:2408.00929): it shows no contradiction, not forgetting."
AS_WRITTEN = Remedy(
    parameter="unlearning.transcript", direction="set",
    text="Ask for the transcript as the unlearning wrote it, beside the files it names; else unlearn again.",
)  # fmt: skip
MORE_NOISE = Remedy(
    parameter="federation.differential_privacy.noise_multiplier", direction="raise",
    text="Add noise of the claimed standard deviation to every coordinate of the sum, or claim less.",
)  # fmt: skip


@check(
    "unlearning.federated.transcript",
    "The record of the unlearning is complete, unbroken, and shows no forget client training after the request",
    needs=("unlearning.transcript",),
    controls=CONTROLS,
    kinds=KINDS,
    strength=Strength.DOCUMENT,
    severity=Severity.HIGH,
)
def transcript(system: System, ctx: Context) -> Iterator[Finding]:
    """Read the transcript line by line, and hold it against itself and against the declared files.

    Fails on any fault, each named with its line: a broken chain, a missing line, sums that are none, other files than
    declared, a delivered model that is the one before, a forget client in a round of training, noise of less than 0.99
    times what is claimed. Inconclusive where a model it names is not declared, or a flipped byte goes unnoticed
    (`control-failed`). Passes else, as a document: a record can be forged.
    """
    yield from asked(system, ctx, _answer, ("transcript",))


def _answer(system: System, ctx: Context, declared: ErasureRequest) -> Finding:
    delivered = delivered_of(system, ctx, declared)
    ratio = _least_noise_ratio(delivered)
    status, reason, told, remedy = _decided(ctx, declared, delivered, ratio)
    return ctx.finding(
        status,
        told[:300],
        key=key_of(declared),
        basis=Basis.RECORDED,
        detail=_detail(delivered.faults),
        measurements=_measurements(delivered, ratio),
        remedy=remedy,
        limitations=_limitations(system, delivered),
        reason=reason,
    )


def _decided(
    ctx: Context, declared: ErasureRequest, delivered: Delivered, ratio: float | None
) -> tuple[Status, str, str, Remedy | None]:
    """Return status, reason, summary and mend."""
    if delivered.faults:
        faults = sorted(delivered.faults, key=lambda one: TELLING.index(one.code) if one.code in TELLING else 9)
        more = f" ({len(faults) - 1} more faults)" if len(faults) > 1 else ""
        return Status.FAIL, "", f"The record is at fault in {shown(faults[0])}{more}.", AS_WRITTEN
    if ratio is not None and ratio < LEAST_NOISE:
        told = f"Differential privacy is claimed, and a round has {ratio:.2g} times the claimed noise a coordinate."
        return Status.FAIL, "", told, MORE_NOISE
    for name in ("after", "before"):
        if getattr(declared, name) is None:
            told = f"The record is unbroken, but the model {name!r} that it names is not declared."
            return Status.INCONCLUSIVE, f"missing:unlearning.{name}", told, None
    if declared.transcript is None or not _notices_one_byte(ctx.folder / declared.transcript.path):
        told = "One flipped byte in a copy of the record went unnoticed, so nothing is shown."
        return Status.INCONCLUSIVE, "control-failed", told, None
    rounds = "one round" if len(delivered.rounds) == 1 else f"{len(delivered.rounds)} rounds"
    return Status.PASS, "", f"The record of {rounds} hangs together, and models and data are those it names.", None


def shown(fault: TranscriptFault, length: int = 200) -> str:
    """Return what a fault says, fit for a report: it may quote what somebody else wrote."""
    try:
        text = printable(fault.message)
    except ValueError:
        text = ascii(fault.message)[1:-1]
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _least_noise_ratio(delivered: Delivered) -> float | None:
    """Return the least noise of a round, a coordinate of the sum, over the claimed one; None where none is claimed."""
    if delivered.header is None:
        return None
    return Transcript(delivered.header, delivered.rounds, delivered.close).least_noise_ratio


def _notices_one_byte(path: Path) -> bool:
    """Tell whether a flipped bit in the middle of a copy is a fault: the positive control."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "transcript.jsonl"
        copy.write_bytes(data)
        return bool(verify_transcript(copy))


def _detail(faults: tuple[TranscriptFault, ...]) -> str:
    lines = [f"{shown(fault, 300)} ({DELIVERED_FAULTS.get(fault.code, fault.code)})" for fault in faults[:SHOWN]]
    return "\n".join([*lines, f"{len(faults) - SHOWN} more."] if len(faults) > SHOWN else lines)


def _measurements(delivered: Delivered, ratio: float | None) -> list[Measurement]:
    method = "lines, chain, sums and participants of the transcript; digests of the files that it names"
    found = [
        Measurement(
            name="transcript_faults", value=len(delivered.faults), n=len(delivered.rounds), method=method,
            threshold=Threshold(op="<=", limit=0),
        )
    ]  # fmt: skip
    if ratio is not None:
        found.append(
            Measurement(
                name="noise_ratio", value=ratio, n=len(delivered.rounds),
                method="least noise of a round, a coordinate of the sum, over noise multiplier times clipping norm",
                threshold=Threshold(op=">=", limit=LEAST_NOISE),
            )
        )  # fmt: skip
    return found


def _limitations(system: System, delivered: Delivered) -> list[str]:
    found = [FORGEABLE]
    if delivered.absent:
        found.append(f"Named and not there, so not compared: {', '.join(delivered.absent)}.")
    declared = system.federation.differential_privacy if system.federation else None
    if declared is not None and delivered.header is not None and delivered.header.differential_privacy is None:
        found.append("The system declares differential privacy; of this unlearning the record claims none.")
    return found
