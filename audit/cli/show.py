"""`fedaudit show`: a report, or one finding of it, in the terminal. It reads a bundle and verifies nothing."""

import difflib
import shutil
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from audit.cli.answer import Answer, command
from reports.bundle import read_bundle
from reports.errors import FedauditError
from reports.evidence import withheld
from reports.model import Finding, Status
from reports.nouns import moment_text
from reports.proof import inclusion
from reports.statement import PREDICATE_TYPE, Statement
from reports.view import View, view_of
from reports.view_finding import FindingView, NumberRow
from reports.wording import visible

SHORTEST_FINGERPRINT = 6
_COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow", "skipped": "bright_black", "error": "magenta"}


@command("show")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("finding", required=False)
@click.option("--proof", metavar="SHA256", help="Prove that evidence with this digest is in the report (RFC 6962).")
@click.option("--timings", is_flag=True, help="How long checks and trials took, in a run that --keep-run kept.")
def show(bundle: Path, finding: str | None, proof: str | None, timings: bool) -> Answer:
    """Show the report in BUNDLE, or one FINDING of it: a check id, or six or more digits of a fingerprint.

    What is shown is what the report says; 'fedaudit verify' tells whether to believe it.
    """
    if finding and proof:
        raise click.UsageError("--proof is about evidence: it takes no FINDING")
    if timings and (finding or proof):
        raise click.UsageError("--timings is about the whole run: it takes neither FINDING nor --proof")
    read = read_bundle(bundle)
    statement, report = read.statement, read.report
    if timings:
        return _timed(statement, bundle)
    if proof:
        return _proved(statement, proof)
    wanted = _wanted(report.findings, finding) if finding else report.findings
    absent = withheld(read.files, report.evidence)
    view = view_of(statement, withheld={piece.sha256 for piece in absent})
    counts = Counter(found.status for found in report.findings)
    fields = {
        "report": _about(statement),
        "counts": {str(status): counts[status] for status in Status},
        "findings": [found.model_dump(mode="json") for found in wanted],
        "withheld": [piece.path for piece in absent],
    }
    lines = _finding_lines(view, wanted) if finding else _report_lines(view, statement)
    return Answer(text="\n".join(lines), fields=fields)


def _about(statement: Statement) -> dict[str, str]:
    report = statement.report
    return {
        "sha256": statement.sha256,
        "system": report.system.name,
        "version": report.system.version,
        "finished": moment_text(report.provenance.finished),
        "predicate_type": PREDICATE_TYPE,
    }


def _proved(statement: Statement, sha256: str) -> Answer:
    """Return the proof that a piece of evidence is under the report's evidence root."""
    report = statement.report
    proof = inclusion(report.evidence, sha256.lower(), report.evidence_root)
    lines = [
        f"leaf {proof.index} of {proof.size} under the evidence root {proof.root}",
        f"  {_line(proof.leaf)}",
        *(f"  sibling {one}" for one in proof.path),
        "Not verified here: that the root is signed, 'fedaudit verify' tells.",
    ]
    return Answer(text="\n".join(lines), fields={"report": _about(statement), "proof": proof.model_dump(mode="json")})


def _timed(statement: Statement, bundle: Path) -> Answer:
    """Return how long the checks of the run took: the word of the run store, which nobody signs."""
    from audit.store_timings import timings

    found = timings(bundle)
    lines = [f"{'seconds':>9} {'trials':>7} {'median':>9} {'longest':>9}  check"]
    for one in found:
        of_trial = (one.median_seconds, one.longest_seconds)
        median, longest = (" " * 9 if spent is None else f"{spent:9.3f}" for spent in of_trial)
        lines.append(f"{one.seconds:9.3f} {one.trials:7} {median} {longest}  {visible(one.check)}")
    lines.append("From the run store beside the bundle, which is not signed; median and longest are of a trial.")
    fields = {"report": _about(statement), "timings": [asdict(one) for one in found]}
    return Answer(text="\n".join(lines), fields=fields)


def _wanted(findings: Sequence[Finding], word: str) -> tuple[Finding, ...]:
    """Return the findings of a check, or those whose fingerprint begins so.

    Raises:
        FedauditError: `finding.not_found`.
    """
    found = tuple(one for one in findings if one.check == word)
    if not found and len(word) >= SHORTEST_FINGERPRINT:
        found = tuple(one for one in findings if one.fingerprint.startswith(word.lower()))
    if found:
        return found
    near = difflib.get_close_matches(word, [one.check for one in findings], n=1)
    mend = f"Did you mean {near[0]!r}?" if near else "'fedaudit show BUNDLE' lists them."
    raise FedauditError("finding.not_found", f"the report has no finding {visible(word)!r}", mend)


def _report_lines(view: View, statement: Statement) -> Iterator[str]:
    yield click.style(f"{_line(view.name)} {_line(view.version)}", bold=True) + f"  report {view.report_id[:12]}"
    yield from _wrapped(view.scope, 0)
    yield "  ".join(_mark(t.status, f"{t.shape} {t.count} {t.word}") for t in view.tallies)
    for group in view.groups:
        yield ""
        yield click.style(f"{group.severity} severity", bold=True)
        for one in group.findings:
            yield f"{_mark(one.status, f'{one.shape} {one.word:<12}')} {click.style(one.check, bold=True)}{_key(one)}"
            yield from _wrapped(one.summary, 15)
    if view.untested:
        yield ""
        yield click.style("not tested", bold=True)
        for reason in view.untested:
            yield from _wrapped(reason.sentence, 2)
            yield from _wrapped(", ".join(reason.checks), 4)
    if view.withholding.absent:
        yield ""
        yield from _wrapped(" ".join(view.withholding.sentences), 0)
    yield ""
    yield from _seal_lines(view)


def _seal_lines(view: View) -> Iterator[str]:
    yield "Not verified here. To check:"
    yield f"  {_line(view.verify_line)}"


def _finding_lines(view: View, wanted: Sequence[Finding]) -> Iterator[str]:
    every = [one for group in view.groups for one in group.findings] + list(view.skipped)
    by_name = {(one.check, one.key): one for one in every}
    for finding in wanted:
        yield from _one_finding(by_name[finding.check, finding.key], finding.fingerprint)
        yield ""
    yield from _seal_lines(view)


def _one_finding(one: FindingView, fingerprint: str) -> Iterator[str]:
    yield f"{_mark(one.status, f'{one.shape} {one.word}')}  {click.style(one.check, bold=True)}{_key(one)}"
    yield from _wrapped(one.title, 2)
    yield from _wrapped(one.summary, 2)
    reason = f", {_line(one.reason)}" if one.reason else ""
    yield f"  {one.severity} severity, {one.strength} proof, {one.basis}{reason}"
    yield f"  fingerprint {fingerprint}"
    for row in one.numbers:
        yield from _wrapped(_number_text(row), 2)
    if one.paragraphs:
        yield from _wrapped("law: " + "; ".join(paragraph.label for paragraph in one.paragraphs), 2)
    if one.detail:
        yield from _wrapped(one.detail, 2)
    if one.remedy:
        yield from _wrapped(f"remedy: {one.remedy}" + (f" ({one.remedy_setting})" if one.remedy_setting else ""), 2)
    for limit in one.limitations:
        yield from _wrapped(f"limit: {limit}", 2)
    for piece in one.evidence:
        yield f"  evidence {piece.short}  {_line(piece.name)}{' (withheld)' if piece.withheld else ''}"
    if one.more_evidence:
        yield f"  and {one.more_evidence} more pieces of evidence"
    yield f"  again: {_line(one.reproduce)}"


def _number_text(row: NumberRow) -> str:
    parts = [f"{row.name} = {row.quantity}"]
    if row.confidence:
        parts.append(f"at {row.confidence}")
    if row.limit:
        parts.append(f"limit {row.limit}")
    if row.control:
        parts.append(f"control {row.control}")
    if row.n:
        parts.append(f"n = {row.n}")
    return ", ".join((*parts, row.method))


def _key(one: FindingView) -> str:
    return f"  {_line(one.key)}" if one.key else ""


def _mark(status: str, text: str) -> str:
    return click.style(text, fg=_COLOURS[status])


def _line(text: str) -> str:
    """Return words of a report so that they can neither hide, reorder, nor begin a line of ours."""
    return visible(" ".join(text.split()))


def _wrapped(text: str, indent: int) -> list[str]:
    width = min(shutil.get_terminal_size((100, 24)).columns, 110)
    margin = " " * indent
    return textwrap.wrap(_line(text), width, initial_indent=margin, subsequent_indent=margin) or [""]
