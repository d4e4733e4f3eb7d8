"""The findings as SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format): what code hosts show beside code.

One run; its rules are the checks; its results are what failed and what is undecided. A finding that a waiver excuses
stays, suppressed. Messages are plain text: SARIF's own marks in them (section 3.11.5, placeholders; section 3.11.6,
links) are written so that they mean nothing.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from reports.model import Finding, Report, Status
from reports.nouns import moment_text
from reports.source_lines import SourceLines
from reports.standing import Standing, Standings, told_by_rules
from reports.verdict import Outcome, Verdict
from reports.version import VERSION
from reports.wording import paragraph, visible

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MOST_RESULTS = 25_000
"""Results of one run that GitHub takes (docs.github.com, "SARIF results exceed one or more limits")."""
MOST_TAGS = 10
"""Tags of one rule that GitHub shows."""
HOW_TO_READ = "What was measured, how often, and how to do it again: fedaudit show BUNDLE CHECK."
"""Where the rest stands, for whoever reads a rule."""
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
_SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0", "info": "0.0"}
"""`security-severity` as GitHub reads it: a number in a string."""


def export_sarif(report: Report, verdict: Verdict | None = None, source: SourceLines | None = None) -> bytes:
    """Return the findings of a report as one SARIF log; equal reports give equal bytes.

    Args:
        report: what was found.
        verdict: what a policy says of it; what it excuses is suppressed.
        source: the system file, for the lines; without it findings point to its first one.
    """
    standings = Standings(verdict)
    told = sorted((f for f in report.findings if f.status in (Status.FAIL, Status.INCONCLUSIVE)), key=_gravity)
    rules, places = _rules(report.findings)
    results = [
        _result(one, _location(one, report, source), places[one.check], standings.of(one), verdict)
        for one in told[:MOST_RESULTS]
    ]
    run = {
        "tool": {"driver": {"name": "fedaudit", "version": VERSION, "semanticVersion": VERSION, "rules": rules}},
        "invocations": [_invocation(report, verdict, places, len(told))],
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": _properties(report, verdict),
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return (json.dumps(log, ensure_ascii=False, allow_nan=False) + "\n").encode()


def message(text: str) -> str:
    """Return `text` as a plain SARIF message in which no placeholder and no link can be read."""
    doubled = visible(text).replace("\\", "\\\\").replace("{", "{{").replace("}", "}}")
    return doubled.replace("](", "\\](")


def _gravity(finding: Finding) -> tuple[bool, int, str, str]:
    return finding.status is not Status.FAIL, -finding.severity.rank, finding.check, finding.key


def _rules(findings: Sequence[Finding]) -> tuple[list[dict[str, object]], dict[str, int]]:
    """Return a rule a check, and the place of each; a check is as grave as its gravest finding."""
    by_check: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_check[finding.check].append(finding)
    rules = [_rule(check, found) for check, found in sorted(by_check.items())]
    return rules, {check: place for place, check in enumerate(sorted(by_check))}


def _rule(check: str, findings: Sequence[Finding]) -> dict[str, object]:
    severity = max((finding.severity for finding in findings), key=lambda one: one.rank)
    laws = dict.fromkeys(control for finding in findings for control in finding.controls)
    title = message(findings[0].title) or check
    cited = [law for control in laws if (law := paragraph(control)).href]
    labels = "; ".join(dict.fromkeys(one.label for one in cited))
    speaks = f" It speaks to {labels}." if labels else ""
    return {
        "id": check,
        "shortDescription": {"text": title},
        "help": {"text": f"True where the check passes: {title}.{message(speaks)} {HOW_TO_READ}"},
        **({"helpUri": cited[0].href} if cited else {}),
        "defaultConfiguration": {"level": _LEVELS[severity]},
        "properties": {
            "tags": ["security", *(visible(law) for law in laws)][:MOST_TAGS],
            "security-severity": _SCORES[severity],
        },
    }


def _result(
    finding: Finding, location: dict[str, object], rule: int, standing: Standing, verdict: Verdict | None
) -> dict[str, object]:
    failed = finding.status is Status.FAIL
    written: dict[str, object] = {
        "ruleId": finding.check,
        "ruleIndex": rule,
        "kind": "fail" if failed else "open",
        "level": _LEVELS[finding.severity] if failed else "none",
        "message": {"text": message(_sentence(finding))},
        "locations": [location],
        "partialFingerprints": {"fedaudit/v1": finding.fingerprint},
        "properties": {
            "key": visible(finding.key),
            "severity": str(finding.severity),
            "strength": str(finding.strength),
            "basis": str(finding.basis),
            "security-severity": _SCORES[finding.severity],
        },
    }
    if standing.waiver is not None and verdict is not None:
        by = f"Waiver {standing.waiver}, by the policy {verdict.policy_name} on {verdict.today}."
        written["suppressions"] = [{"kind": "external", "status": "accepted", "justification": visible(by)}]
    return written


def _sentence(finding: Finding) -> str:
    head = f"[{finding.key}] {finding.summary}" if finding.key else finding.summary
    return f"{head} {finding.remedy.text}" if finding.remedy else head


def _location(finding: Finding, report: Report, source: SourceLines | None) -> dict[str, object]:
    """Return the place in the system file, and the setting that would mend the finding where one is known.

    A report holds the system file by digest, not by text: without the file itself the line is the first.
    """
    place: dict[str, object] = {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(source.uri if source else report.system.source.path)},
            "region": {"startLine": source.line_of(finding) if source else 1},
        }
    }
    if finding.remedy:
        place["logicalLocations"] = [{"fullyQualifiedName": visible(finding.remedy.parameter), "kind": "member"}]
    return place


def _invocation(report: Report, verdict: Verdict | None, places: dict[str, int], results: int) -> dict[str, object]:
    """Return what came of the run itself: broken checks, rules that block by what is missing, results that were cut."""
    broken = [one for one in report.findings if one.status is Status.ERROR]
    notes = [_note("error", f"{one.check}: {one.summary}", rule=(one.check, places[one.check])) for one in broken]
    notes += _verdict_notes(verdict)
    if results > MOST_RESULTS:
        cut = results - MOST_RESULTS
        notes.append(_note("warning", f"{cut:,} of {results:,} results were cut, the least grave; the report has all."))
    return {
        "executionSuccessful": not broken,
        "startTimeUtc": moment_text(report.provenance.started),
        "endTimeUtc": moment_text(report.provenance.finished),
        "toolExecutionNotifications": notes,
    }


def _verdict_notes(verdict: Verdict | None) -> Iterable[dict[str, object]]:
    for judgement in told_by_rules(verdict):
        level = "note" if judgement.outcome is Outcome.WAIVED else "error"
        yield _note(level, f"{judgement.rule}, {judgement.code}: {judgement.message}")


def _note(level: str, text: str, rule: tuple[str, int] | None = None) -> dict[str, object]:
    note: dict[str, object] = {"level": level, "message": {"text": message(text)}}
    if rule is not None:
        note["associatedRule"] = {"id": rule[0], "index": rule[1]}
    return note


def _properties(report: Report, verdict: Verdict | None) -> dict[str, object]:
    counts = {str(status): sum(one.status is status for one in report.findings) for status in Status}
    about: dict[str, object] = {
        "system": visible(report.system.name),
        "systemVersion": visible(report.system.version),
        "findings": counts,
    }
    if verdict is not None:
        about |= {"verdict": str(verdict.result), "policySha256": verdict.policy_sha256}
    return about
