"""`unlearning.federated.replay`: whether running the recorded unlearning again gives the delivered model."""

from collections.abc import Iterator

from reports.check import Context, check
from reports.model import (
    Basis,
    Effort,
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
from unlearning.federated.checks.verified import CONTROLS, KINDS, asked, key_of, replay_of, skip
from unlearning.verification.replay import Replay

APPROXIMATE = "The method is approximate: that it was carried out as recorded does not show that it forgets."
ALONE = "It was run from recipe, seed and retained data alone; what the retained data is, is the owner's word."
OTHER_PROCESSOR = "Bits can differ between processors of one kind and another; the largest difference says how far."
RECORD = Remedy(
    parameter="unlearning.transcript", direction="set",
    text="Deliver the model and the data that the transcript was written with, or unlearn again and record it.",
)  # fmt: skip


@check(
    "unlearning.federated.replay",
    "Running the recorded unlearning again gives the delivered model",
    needs=("unlearning.transcript",),
    controls=CONTROLS,
    kinds=KINDS,
    strength=Strength.EXACT,
    severity=Severity.HIGH,
)
def replay(system: System, ctx: Context) -> Iterator[Finding]:
    """Run the unlearning again from what the transcript's header says, and compare bytes.

    Passes when they are equal and one retained example less gives others; fails when they differ on the same version of
    torch, a processor and one thread. Inconclusive where version, device or threads differ, where something that it
    needs is not there, or where the result does not depend on the data (`control-failed`). Skipped at effort smoke.
    """
    yield from asked(system, ctx, _answer, ("transcript",))


def _answer(system: System, ctx: Context, declared: ErasureRequest) -> Finding:
    if ctx.effort is Effort.SMOKE:
        return skip(ctx, declared, "Running the unlearning again is not for effort smoke.", "budget")
    found = replay_of(system, ctx, declared)
    status, reason, told = _decided(found)
    return ctx.finding(
        status,
        told[:300],
        key=key_of(declared),
        basis=Basis.MEASURED,
        detail=_detail(found),
        measurements=_measurements(found),
        remedy=RECORD if status is Status.FAIL else None,
        limitations=_limitations(found),
        reason=reason,
    )


def _decided(found: Replay) -> tuple[Status, str, str]:
    """Return status, reason and summary."""
    if found.answer == "not-run":
        return Status.INCONCLUSIVE, found.reason, found.told
    apart = "" if found.max_difference is None else f", by at most {found.max_difference:.2g} a weight"
    if found.answer == "differs" and found.reason:
        told = f"Run again, it gave other bytes{apart}. {found.told}"
        return Status.INCONCLUSIVE, found.reason, told
    if found.answer == "differs":
        return Status.FAIL, "", f"Run again as recorded, the unlearning gives another model than was delivered{apart}."
    if not found.sees_data:
        told = "Run again, it gave the delivered bytes, and would have on one retained example less, too."
        return Status.INCONCLUSIVE, "control-failed", told
    source = ", from recipe, seed and retained data alone" if found.from_retained_alone else ""
    return Status.PASS, "", f"Run again{source}, the recorded unlearning gives the delivered model, bit for bit."


def _detail(found: Replay) -> str:
    if found.answer == "not-run" or found.first_differing is None:
        return ""
    return f"The model of round {found.first_differing} is the first that differs from the recorded one."


def _measurements(found: Replay) -> list[Measurement]:
    if found.max_difference is None:
        return []
    method = "largest difference of two weights, run again on one processor thread; one retained example less differs"
    return [
        Measurement(
            name="replay_difference", value=found.max_difference, method=method, threshold=Threshold(op="<=", limit=0)
        )
    ]


def _limitations(found: Replay) -> list[str]:
    if found.answer == "not-run":
        return []
    told = [ALONE if found.from_retained_alone else APPROXIMATE]
    if found.answer == "differs":
        told.append(OTHER_PROCESSOR)
    if found.owner_code:
        told.append("The owner's code made the initial weights, which may hold anything.")
    if found.contradicted:
        told.append("Record and files disagree on what was to be forgotten; what was run again is what the files hold.")
    if found.overlap is not None and not found.overlap.free:
        told.append(f"{found.overlap.near} examples to be forgotten stand among the retained ones, or nearly so.")
    return told
