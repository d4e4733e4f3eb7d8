"""`compliance.thresholds`: limits that were promised beforehand, each measured and kept."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from compliance.thresholds import ADVICE, Outcome, Thresholds, outcomes, read_thresholds, set_beforehand
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
from reports.nouns import moment_text
from reports.stamped import MEDIA_TYPE, Stamp, stamp_beside
from reports.tomlfile import LARGEST_FILE
from reports.wording import counted, quantity

_WORD_ALONE = "The date of registration is the owner's word: no valid time stamp proves it."
_UNSEEN = "That no test was run in secret before the limits were stamped is the owner's word."
_FEW = 3
"""Promises that a summary names."""


@check(
    "compliance.thresholds",
    "The promised thresholds were set beforehand, all measured, and all met",
    needs=("documents.thresholds", "findings"),
    controls=("EU-AIA:9(8)", "EU-AIA:17(1)(d)"),
    kinds=("thresholds", "signature"),
    strength=Strength.EXACT,
    severity=Severity.HIGH,
)
def thresholds(system: System, ctx: Context) -> Iterator[Finding]:
    """Hold the run against thresholds.toml (Regulation (EU) 2024/1689, Art. 9(8)); one finding a file.

    Passes where every promise was measured with its trials and its confidence, each whole interval keeps its limit, and
    the limits were registered before the run. Fails where one is broken, or where they were registered on the day of
    the run or later. Inconclusive where the system was on the market before the run, where an interval holds its limit,
    where trials or confidence are too low, and where something was not measured or its finding decides nothing. Exact
    where a time stamp beside the file proves that it stood before the run (`reports.stamped`); else the proof is a
    document's, since the date is the owner's word. Skipped without a file.
    """
    files = [one.path.path for one in system.documents if one.kind == "thresholds"]
    if not files:
        told = "No document of the kind thresholds is declared."
        yield ctx.finding(Status.SKIPPED, told, severity=Severity.INFO, reason="missing:documents.thresholds")
    for path in files:
        yield _finding(ctx.folder / path, path if len(files) > 1 else "", system, ctx)


def _finding(file: Path, key: str, system: System, ctx: Context) -> Finding:
    promised = read_thresholds(file)
    found = outcomes(promised, ctx.findings)
    status, summary, reason = _answer(promised, found, system, ctx)
    stamp = _stamp(file, ctx)
    doubt = _doubt(stamp, ctx.now)
    return ctx.finding(
        status,
        summary,
        key=f"file={key}"[:200] if key else "",
        strength=Strength.DOCUMENT if doubt else Strength.EXACT,
        basis=Basis.DECLARED if doubt else Basis.RECORDED,
        detail="\n".join([*map(_line, found), *([] if doubt else [_told(stamp)])]),
        measurements=[_measurement(one.measurement, one) for one in found if one.measurement is not None],
        remedy=_remedy(found, status, reason),
        evidence=[] if doubt else [_kept(stamp, file, ctx)],
        limitations=[doubt or _UNSEEN],
        reason=reason,
    )


def _stamp(file: Path, ctx: Context) -> Stamp:
    with file.open("rb") as opened:
        return stamp_beside(file, opened.read(LARGEST_FILE), ctx.options.trust)


def _doubt(stamp: Stamp, start: datetime) -> str:
    """Return why it is not proved that the limits stood before the test; empty if it is."""
    if stamp.doubt:
        return f"The time stamp beside the file proves nothing: {stamp.doubt}."
    if stamp.moment is None:
        return _WORD_ALONE
    if stamp.moment >= start:
        return f"The time stamp is of {moment_text(stamp.moment)}, not before the test: it proves nothing of the date."
    return ""


def _told(stamp: Stamp) -> str:
    moment = moment_text(stamp.moment) if stamp.moment else ""
    return f"A time stamp by a listed authority proves that the file stood on {moment} at the latest."


def _kept(stamp: Stamp, file: Path, ctx: Context) -> str:
    """Keep the authority's reply, so that a reader can check it against the file with openssl."""
    return ctx.evidence(f"time stamp of {file.name}", stamp.reply or b"", MEDIA_TYPE, Confidentiality.PUBLIC)


def _answer(promised: Thresholds, found: Sequence[Outcome], system: System, ctx: Context) -> tuple[Status, str, str]:
    """Return status, summary and reason; a broken promise comes before a late one, and both before any doubt."""
    start = ctx.now.date()
    broken = [one for one in found if one.state == "broken"]
    open_ = [one for one in found if one.state not in ("broken", "kept")]
    if broken:
        return Status.FAIL, f"{counted(len(broken), 'promise')} of {len(found)} broken: {_named(broken)}."[:300], ""
    beforehand = set_beforehand(promised, start, system.placed_on_market)
    if beforehand == "late":
        told = f"The limits were registered on {promised.registered_on}, and the test began on {start}: not beforehand."
        return Status.FAIL, told, ""
    if beforehand == "sold":
        told = f"The system was placed on the market on {system.placed_on_market}, before this test on {start}."
        return Status.INCONCLUSIVE, told, "placed-before-test"
    if open_:
        told = (
            f"{counted(len(open_), 'promise')} of {len(found)} not decided: {_named(open_)}; {ADVICE[open_[0].state]}."
        )
        return Status.INCONCLUSIVE, told[:300], open_[0].state.replace("_", "-")
    told = f"All {counted(len(found), 'promise')}, registered on {promised.registered_on}, were measured and kept."
    return Status.PASS, told, ""


def _named(found: Sequence[Outcome]) -> str:
    more = f" and {len(found) - _FEW} more" if len(found) > _FEW else ""
    return ", ".join(str(one.promise) for one in found[:_FEW]) + more


def _line(one: Outcome) -> str:
    measured = f" Measured: {quantity(one.measurement)}." if one.measurement is not None else ""
    why = f" ({one.promise.why})" if one.promise.why else ""
    return f"{one.promise}{why}: {ADVICE[one.state]}.{measured}"


def _measurement(figure: Measurement, one: Outcome) -> Measurement:
    """Return what was measured, with the promised limit in place of the check's own."""
    return figure.model_copy(update={"threshold": Threshold(op=one.promise.op, limit=one.promise.limit)})


def _remedy(found: Sequence[Outcome], status: Status, reason: str) -> Remedy | None:
    if status is Status.PASS:
        return None
    first = next((one for one in found if one.state not in ("kept",)), None)
    if first is None or reason == "placed-before-test":
        text = "Register the limits at least a day before the test, and test before placing on the market."
        return Remedy(parameter="documents.thresholds", direction="set", value="registered_on", text=text)
    if first.state == "broken":
        text = f"Mend the system until {first.promise} holds; a limit moved after the test is none."
        return Remedy(parameter=first.promise.check, direction="set", text=text)
    text = f"Have {first.promise.check} measure {first.promise.measurement} with the promised trials and confidence."
    value = None if first.promise.min_n is None else str(first.promise.min_n)
    return Remedy(parameter=first.promise.check, direction="raise", value=value, text=text)
