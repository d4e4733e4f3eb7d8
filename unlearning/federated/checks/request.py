"""`unlearning.federated.request`: whether what was to be forgotten and what stayed are what they are said to be."""

from collections.abc import Iterator, Sequence

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
from unlearning.federated.checks.transcript import shown
from unlearning.federated.checks.verified import CONTROLS, KINDS, asked, delivered_of, key_of
from unlearning.federated.data import ClientData
from unlearning.federated.delivered import Delivered
from unlearning.federated.twins import LARGEST_DISTANCE, label_distance, label_matched, near_duplicates
from unlearning.verification.overlap import Overlap, notices_copies, overlap

OWN_FAULTS = ("data", "request")
"""Codes of the faults of a transcript that are about the request's files."""
AT_MOST_NONE = Threshold(op="<=", limit=0)
SEPARATE = Remedy(
    parameter="unlearning.retain", direction="set",
    text="Take out of the retained data whatever is to be forgotten, and unlearn again.",
)  # fmt: skip
RIGHT_FILES = Remedy(
    parameter="unlearning.forget", direction="set", text="Declare the files that the transcript was written beside."
)
OTHER_TWIN = Remedy(
    parameter="unlearning.twin", direction="set",
    text="Draw a twin of the forget set's labels from data that nobody trained on.",
)  # fmt: skip


@check(
    "unlearning.federated.request",
    "The erasure request is well-defined: what is forgotten and what stays have nothing in common",
    needs=("unlearning",),
    controls=CONTROLS,
    kinds=KINDS,
    strength=Strength.EXACT,
    severity=Severity.HIGH,
)
def request(system: System, ctx: Context) -> Iterator[Finding]:
    """Compare forget set, retained data and twin with one another and with what the transcript says of them.

    Fails when an example to be forgotten stands among the retained ones, or when the transcript names another file or
    other examples. Inconclusive when retained examples are near duplicates of forgotten ones, when the twin's labels
    are not those of the forget set or the twin is no held-out data, or when a planted copy is not found
    (`control-failed`). Passes else.
    """
    yield from asked(system, ctx, _answer, ("forget", "retain"))


def _answer(system: System, ctx: Context, declared: ErasureRequest) -> Finding:
    delivered = delivered_of(system, ctx, declared)
    forget, retain = delivered.forget, delivered.retain
    assert forget is not None and retain is not None  # noqa: S101, PT018  both are declared, so they were read
    common = overlap(forget, retain)
    measurements = [*_overlap_measurements(common), *_twin_measurements(forget, delivered.twin)]
    wrong = [shown(fault) for fault in delivered.faults if fault.code in OWN_FAULTS]
    if common.exact:
        told = f"{common.exact} of {common.examples} examples to be forgotten stand among the retained ones."
        return _finding(ctx, declared, Status.FAIL, told, measurements, remedy=SEPARATE, wrong=wrong)
    if wrong:
        more = f" ({len(wrong) - 1} more)" if len(wrong) > 1 else ""
        told = f"The transcript names other data than was declared: {wrong[0]}{more}."
        return _finding(ctx, declared, Status.FAIL, told, measurements, remedy=RIGHT_FILES, wrong=wrong)
    reason, told, remedy = _undecided(delivered, forget, retain, common)
    if reason:
        return _finding(ctx, declared, Status.INCONCLUSIVE, told, measurements, remedy=remedy, reason=reason)
    twin = " and the twin has its labels" if delivered.twin is not None else ""
    told = f"None of the {common.examples} examples to be forgotten stands among the {len(retain)} retained ones{twin}."
    return _finding(ctx, declared, Status.PASS, told, measurements, limitations=_limitations(delivered, common))


def _undecided(
    delivered: Delivered, forget: ClientData, retain: ClientData, common: Overlap
) -> tuple[str, str, Remedy | None]:
    """Return reason, summary and mend of what leaves the request in doubt; nothing where it is clear."""
    if common.near:
        told = f"{common.near} of {common.examples} examples to be forgotten have a near duplicate among the retained."
        return "near-duplicates", told, SEPARATE
    twin = delivered.twin
    if twin is not None and not label_matched(forget, twin):
        distance = label_distance(forget, twin)
        told = f"The twin's labels are not those of the forget set: their total variation is {distance:.3f}."
        return "twin-labels", told, OTHER_TWIN
    if twin is not None and (shared := near_duplicates(twin, forget, 0.0) + near_duplicates(twin, retain, 0.0)):
        return "twin-not-held-out", f"{shared} examples of the twin are forgotten or retained ones.", OTHER_TWIN
    if not notices_copies(forget, retain):
        return "control-failed", "A copy of a forgotten example, put among the retained ones, was not found.", None
    return "", "", None


def _overlap_measurements(common: Overlap) -> list[Measurement]:
    method = f"examples compared number by number; near: root mean square difference at most {common.tolerance:.3g}"
    return [
        Measurement(name=name, value=value, n=common.examples, method=method, threshold=AT_MOST_NONE)
        for name, value in (("overlapping_examples", common.exact), ("near_duplicates", common.near - common.exact))
    ]


def _twin_measurements(forget: ClientData, twin: ClientData | None) -> list[Measurement]:
    if twin is None:
        return []
    return [
        Measurement(
            name="twin_label_distance", value=label_distance(forget, twin), n=len(twin),
            method="total variation between the label histograms of twin and forget set; one example a class is let be",
            threshold=Threshold(op="<=", limit=LARGEST_DISTANCE),
        )
    ]  # fmt: skip


def _limitations(delivered: Delivered, common: Overlap) -> list[str]:
    found = [
        "That the declared files are what was asked to be forgotten, and all of it, is the owner's word.",
        f"A copy that was changed by more than {common.tolerance:.3g} (root mean square), turned or cut is not found.",
    ]
    if delivered.header is None:
        found.append("Without a transcript's header nothing says which files the unlearning saw.")
    if delivered.twin is None:
        found.append("There is no twin set, so tests that need one were not prepared.")
    return found


def _finding(
    ctx: Context, declared: ErasureRequest, status: Status, told: str, measurements: Sequence[Measurement] = (), *,
    reason: str = "", remedy: Remedy | None = None, limitations: Sequence[str] = (), wrong: Sequence[str] = (),
) -> Finding:  # fmt: skip
    return ctx.finding(
        status, told[:300], key=key_of(declared), basis=Basis.RECORDED, detail="\n".join(wrong),
        measurements=measurements, remedy=remedy, limitations=limitations, reason=reason,
    )  # fmt: skip
