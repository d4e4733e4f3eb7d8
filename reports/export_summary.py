"""The verdict as a short page of Markdown: what a CI service shows beside a job (GitHub's step summary).

First the answer, then what blocks, then what was not tested. Nothing that a page may leave out for length is left out
unsaid.
"""

from collections.abc import Iterator
from itertools import chain

from reports.model import Finding, Report, Status
from reports.render_markdown import code, escaped
from reports.statement import declared_subjects, make_statement
from reports.verdict import Outcome, Verdict, called, gathered
from reports.view_verdict import verdict_view
from reports.wording import NOT_ADVICE, STATUS_SHAPE, STATUS_WORD, counted, quantity

LARGEST = 2**20
"""Bytes of one step's summary that GitHub takes (docs.github.com, "Workflow commands", step isolation and limits)."""
_ROOM = 4096
"""Bytes kept for what stands under the tables."""
_GRAVEST_FIRST = (Outcome.FAIL, Outcome.INCOMPLETE, Outcome.WAIVED, Outcome.WARN)


def export_summary(report: Report, verdict: Verdict | None = None, *, report_sha256: str | None = None) -> bytes:
    """Return a report, and the verdict on it where there is one, as at most 1 MiB of Markdown.

    Args:
        report: what was found.
        verdict: of a policy.
        report_sha256: id of the report; else that of the verdict, else that of the statement a run would make of it.
    """
    head = "\n".join((*_head(report, verdict), "", *_tallies(report), ""))
    rows = _judgement_rows(verdict) if verdict else _finding_rows(report)
    known = report_sha256 or (verdict.report_sha256 if verdict else None)
    sha256 = known or make_statement(report, declared_subjects(report.system)).sha256
    foot = (*_untested(report), "", f"Report {code(sha256[:12])}: {NOT_ADVICE}.", "")
    return "\n".join((head, *_fitted(rows, LARGEST - _ROOM - len(head.encode())), "", *foot)).encode()


def _head(report: Report, verdict: Verdict | None) -> Iterator[str]:
    name = code(f"{report.system.name} {report.system.version}")
    if verdict is None:
        yield f"## fedaudit: {name}"
        return
    view = verdict_view(verdict)
    yield f"## {view.shape} {view.result.upper()}: {name}"
    yield ""
    yield f"By the policy {code(view.policy)} on {view.today}: {view.sentence}."


def _tallies(report: Report) -> Iterator[str]:
    counts = {status: sum(one.status is status for one in report.findings) for status in Status}
    yield "| " + " | ".join(f"{STATUS_SHAPE[status]} {STATUS_WORD[status]}" for status in Status) + " |"
    yield "| " + " | ".join("--:" for _ in Status) + " |"
    yield "| " + " | ".join(str(counts[status]) for status in Status) + " |"


def _judgement_rows(verdict: Verdict) -> Iterator[str]:
    told = [one for one in verdict.judgements if one.outcome is not Outcome.OK]
    if not told:
        return
    yield "| outcome | rule | what it says |"
    yield "| --- | --- | --- |"
    for one in gathered(sorted(told, key=lambda one: _GRAVEST_FIRST.index(one.outcome))):
        by = f" (waiver {one.waiver})" if one.outcome is Outcome.WAIVED else ""
        yield f"| {one.outcome} | {escaped(f'{one.rule} {one.code}')} | {escaped(one.message + by)} |"


def _finding_rows(report: Report) -> Iterator[str]:
    told = [one for one in report.findings if one.status in (Status.FAIL, Status.ERROR, Status.INCONCLUSIVE)]
    if not told:
        return
    yield "| answer | severity | check | what was found |"
    yield "| --- | --- | --- | --- |"
    order = (Status.FAIL, Status.ERROR, Status.INCONCLUSIVE)
    for one in sorted(told, key=lambda one: (order.index(one.status), -one.severity.rank)):
        yield f"| {STATUS_WORD[one.status]} | {one.severity} | {escaped(called(one))} | {escaped(_found(one))} |"


def _found(finding: Finding) -> str:
    first = finding.measurements[:1]
    return " ".join((finding.summary, *(f"{one.name} = {quantity(one)}." for one in first)))


def _fitted(rows: Iterator[str], room: int) -> Iterator[str]:
    """Yield the rows that fit into `room` bytes, and a sentence that counts those that do not."""
    for row in rows:
        room -= len(row.encode()) + 1
        if room < 0:
            left = sum(1 for _ in chain((row,), rows))
            yield ""
            yield f"{counted(left, 'more row')} did not fit; the report has all."
            return
        yield row


def _untested(report: Report) -> Iterator[str]:
    skipped = {one.check: None for one in report.findings if one.status is Status.SKIPPED}
    if not skipped:
        return
    listed = ", ".join(code(check) for check in list(skipped)[:20])
    more = f" and {len(skipped) - 20} more" if len(skipped) > 20 else ""
    yield f"**Not tested** ({counted(len(skipped), 'check')}): {listed}{more}."
