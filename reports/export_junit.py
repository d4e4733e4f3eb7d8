"""The findings as JUnit XML: the form in which every CI service counts tests.

A suite is the first part of a check's id, a case one finding. What is undecided never counts as passed: it is an error,
or, where a policy has judged and no rule waits for it, skipped. What a rule of the policy blocks on its own account is
a case of a suite `gate`, so that the page of a CI service is never greener than the verdict.

There is no standard; elements and attributes are those that the schema of Jenkins' xUnit plug-in allows.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from xml.etree import ElementTree as ET  # only writes

from reports.model import Finding, Report, Status
from reports.standing import Standing, Standings, told_by_rules
from reports.verdict import Judgement, Outcome, Verdict, called
from reports.wording import interval_text, number, visible

GATE = "gate"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 forbids (section 2.2)."""
_COUNTED = {"failure": "failures", "error": "errors", "skipped": "skipped"}


def export_junit(report: Report, verdict: Verdict | None = None) -> bytes:
    """Return the findings of a report as JUnit XML; equal reports give equal bytes."""
    standings = Standings(verdict)
    moment = report.provenance.finished.strftime("%Y-%m-%dT%H:%M:%S")
    suites = [
        _suite(name, moment, [_case(one, standings.of(one), verdict is not None) for one in found])
        for name, found in groupby(report.findings, key=lambda one: one.check.partition(".")[0])
    ]
    if judged := [_judged(one) for one in told_by_rules(verdict)]:
        suites.append(_suite(GATE, moment, judged))
    root = ET.Element("testsuites", {"name": xml_text(f"{report.system.name} {report.system.version}")})
    root.extend(suites)
    _count(root, [case for suite in suites for case in suite])
    ET.indent(root, " ")
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def xml_text(text: str) -> str:
    """Return `text` without a character that XML 1.0 forbids, or that hides or reorders others."""
    return _NOT_XML.sub("\ufffd", visible(text))


def _suite(name: str, moment: str, cases: Sequence[ET.Element]) -> ET.Element:
    suite = ET.Element("testsuite", {"name": name, "timestamp": moment})
    suite.extend(cases)
    _count(suite, cases)
    return suite


def _count(element: ET.Element, cases: Sequence[ET.Element]) -> None:
    element.set("tests", str(len(cases)))
    for tag, attribute in _COUNTED.items():
        element.set(attribute, str(sum(case.find(tag) is not None for case in cases)))


def _case(finding: Finding, standing: Standing, judged: bool) -> ET.Element:
    name = f"{finding.title} [{finding.key}]" if finding.key else finding.title
    case = ET.Element("testcase", {"classname": finding.check, "name": xml_text(name) or finding.check})
    tag = _tag(finding.status, standing, judged)
    if tag:
        kind = str(finding.severity if finding.status is Status.FAIL else finding.status)
        said = f"waived by {standing.waiver}: {finding.summary}" if standing.waiver else finding.summary
        _mark(case, tag, kind, said, _text(finding))
    return case


def _tag(status: Status, standing: Standing, judged: bool) -> str:
    """Return failure, error, skipped, or nothing where the finding is a pass."""
    if status is Status.PASS:
        return ""
    if status is Status.SKIPPED or standing.waiver is not None:
        return "skipped"
    if status is Status.FAIL:
        return "failure"
    undecided = status is Status.INCONCLUSIVE and judged and not standing.incomplete
    return "skipped" if undecided else "error"


def _judged(judgement: Judgement) -> ET.Element:
    about = " ".join(filter(None, (judgement.rule, judgement.check, judgement.key)))
    case = ET.Element("testcase", {"classname": f"{GATE}.{xml_text(judgement.code)}", "name": xml_text(about)})
    tag = {Outcome.FAIL: "failure", Outcome.WAIVED: "skipped"}.get(judgement.outcome, "error")
    by = f"waived by {judgement.waiver}: " if judgement.outcome is Outcome.WAIVED else ""
    _mark(case, tag, judgement.code, by + judgement.message, "")
    return case


def _mark(case: ET.Element, tag: str, kind: str, said: str, text: str) -> None:
    mark = ET.SubElement(case, tag, {"type": xml_text(kind), "message": xml_text(said)})
    if text:
        mark.text = xml_text(text)


def _text(finding: Finding) -> str:
    return "\n".join(_lines(finding))


def _lines(finding: Finding) -> Iterable[str]:
    yield f"{called(finding)}: {finding.severity} severity, {finding.strength} proof, {finding.basis}"
    for one in finding.measurements:
        interval = f" {interval_text(one.interval)}" if one.interval else ""
        trials = f", n = {one.n}" if one.n is not None else ""
        limit = f", limit {one.threshold.op} {number(one.threshold.limit, (one.value,))}" if one.threshold else ""
        yield f"{one.name} = {number(one.value)}{interval}{trials}{limit}"
    if finding.remedy:
        yield f"remedy: {finding.remedy.text}"
    yield f"fingerprint: {finding.fingerprint}"
