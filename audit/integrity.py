"""The checks `integrity.*`: whether the files are those they are said to be."""

from collections.abc import Collection, Iterator, Sequence

from audit.fit import Fits, fits
from audit.tamper import Fault, artifacts_of, changed, digests_now, notices_one_byte, unexpected
from reports.check import Context, check
from reports.model import (
    Artifact,
    Basis,
    Finding,
    Measurement,
    Remedy,
    Severity,
    Status,
    Strength,
    System,
    Threshold,
)
from reports.nouns import printable

SHOWN = 20
"""Faults that are listed by name; the rest are counted."""


@check(
    "integrity.artifacts",
    "Every file is the one it is said to be",
    controls=("EU-AIA:15(5)#model-poisoning",),
    kinds=("signature",),
    strength=Strength.EXACT,
    severity=Severity.HIGH,
    after_others=True,
)
def artifacts(system: System, ctx: Context) -> Iterator[Finding]:
    """Digest every declared file again when the other checks are done, and compare headers with the checkpoint's.

    Fails when a file differs from its digest in `[digests]` or from itself at load, when the tensors of an update or a
    base do not fit its checkpoint by name and shape, or when an unlearning transcript names another model. Inconclusive
    when what a file belongs to is not declared, or when the comparison misses a flipped byte (`control-failed`).
    Passes else; without `[digests]` that says only that the files held still during the run.
    """
    expected = ctx.options.expected_digests
    declared = artifacts_of(system)
    now = digests_now(ctx.folder, {*expected, *(artifact.path for artifact in declared)}, ctx.progress)
    faults = [*unexpected(expected, now), *changed(declared, now)]
    sound = {*now} - {fault.path for fault in faults}
    fitting = fits(system, ctx.folder, sound)
    faults.extend(fitting.faults)
    control = notices_one_byte(ctx.folder / system.source.path)
    status, reason, summary = _decided(faults, fitting, control, len(now), bool(expected))
    yield ctx.finding(
        status,
        summary,
        basis=Basis.RECORDED,
        detail=_detail(faults),
        measurements=_measurements(faults, len(now)),
        remedy=_remedy(faults, fitting.undeclared, declared),
        limitations=_limitations(expected, declared, system.source.path),
        reason=reason,
    )


def _decided(
    faults: Sequence[Fault], fitting: Fits, control: bool, files: int, expected: bool
) -> tuple[Status, str, str]:
    """Return status, reason and summary."""
    if faults:
        more = _many(len({fault.path for fault in faults}) - 1)
        return Status.FAIL, "", f"{_shown(faults[0].path)} {_shown(faults[0].text, 150)}{more}."
    if not control:
        return Status.INCONCLUSIVE, "control-failed", "One flipped byte in a copy went unnoticed, so nothing is shown."
    if fitting.undeclared:
        lacking = fitting.undeclared[0]
        return Status.INCONCLUSIVE, f"missing:{lacking}", f"Files belong to a model that is not declared: {lacking}."
    held = f"All {files} files held still during the run" if files > 1 else "The system file held still during the run"
    named = "; those in [digests] are the ones it names" if expected else ""
    fit = f"; {fitting.compared} fit the model they belong to" if fitting.compared else ""
    return Status.PASS, "", f"{held}{named}{fit}."


def _detail(faults: Sequence[Fault]) -> str:
    lines = [f"{_shown(fault.path)} {_shown(fault.text, 300)}." for fault in faults[:SHOWN]]
    return "\n".join([*lines, f"{len(faults) - SHOWN} more."] if len(faults) > SHOWN else lines)


def _measurements(faults: Sequence[Fault], files: int) -> tuple[Measurement, ...]:
    at_fault = len({fault.path for fault in faults})
    method = "SHA-256 at the end of the run against load and [digests]; tensor names and shapes from the headers"
    limit = Threshold(op="<=", limit=0)
    return (
        Measurement(name="files_at_fault", value=at_fault, n=files, method=method, threshold=limit),
        Measurement(name="files_checked", value=files, method="files and folders that the system file names"),
    )


def _remedy(faults: Sequence[Fault], undeclared: Sequence[str], declared: Sequence[Artifact]) -> Remedy | None:
    if faults:
        kinds = {artifact.path: artifact.kind for artifact in declared}
        text = "Find out who changed it; then put the right file back, or declare the one that is meant."
        return Remedy(parameter=kinds.get(faults[0].path, "digests"), direction="set", text=text)
    if undeclared:
        return Remedy(parameter=undeclared[0], direction="add", text=f"Declare {undeclared[0]}.")
    return None


def _limitations(expected: Collection[str], declared: Sequence[Artifact], source: str) -> tuple[str, ...]:
    paths = {artifact.path for artifact in declared} - {source}  # a file cannot hold its own digest
    named = paths & {*expected}
    if not expected:
        return (
            "Without [digests] this says that the files held still during the run, not that they are the right ones.",
        )
    if len(named) < len(paths):
        return (f"[digests] names {len(named)} of the {len(paths)} declared files; the others only held still.",)
    return ()


def _many(others: int) -> str:
    return {0: "", 1: "; one other file is at fault"}.get(others, f"; {others} other files are at fault")


def _shown(text: str, length: int = 100) -> str:
    """Return text from outside, fit for a sentence: cut in the middle, without what a report may not hold."""
    try:
        printable(text)
    except ValueError:
        text = ascii(text)
    return text if len(text) <= length else f"{text[: length // 2 - 1]}…{text[-length // 2 + 1 :]}"
