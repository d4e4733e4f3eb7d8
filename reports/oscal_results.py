"""The writing of OSCAL 1.2.1 assessment results (NIST, Open Security Controls Assessment Language): what means what.

An observation a finding, an OSCAL finding a duty of the law. `satisfied` is said only where direct evidence supports
the whole duty; everything short of that is `not-satisfied`, with the reason fail or other. The objectives are our own
questions, and say so: the law names none. Titles, descriptions and remarks are markup in OSCAL, so words of a report
are escaped there.

Every UUID is of version 5 (RFC 9562 section 5.5) over the report's id: the same report gives the same bytes.
"""

import json
import uuid
from collections.abc import Iterator, Sequence

from reports.export_oscal import safe_token
from reports.model import Basis, ControlRow, Finding, Report, Status
from reports.nouns import moment_text
from reports.render_markdown import escaped
from reports.standing import Standings
from reports.statement import declared_subjects, make_statement
from reports.verdict import Verdict
from reports.wording import NOT_ADVICE, STATE_WORD, limit_text, quantity, visible

OSCAL_VERSION = "1.2.1"
PROPERTY_NAMESPACE = "urn:fedaudit:oscal"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://fedaudit.example/oscal")
_OWN_OBJECTIVE = "fedaudit's own question about this duty, not an objective that the law or a catalogue sets"


def assessment_results(report: Report, verdict: Verdict | None, report_sha256: str | None) -> bytes:
    """Return a report as OSCAL assessment results in JSON; the arguments are those of `reports.export_oscal`."""
    known = report_sha256 or (verdict.report_sha256 if verdict else None)
    written = _Writer(report, verdict, known or make_statement(report, declared_subjects(report.system)).sha256)
    return (json.dumps(written.document(), ensure_ascii=False, allow_nan=False) + "\n").encode()


def plain(text: str) -> str:
    """Return `text` as OSCAL's string: one line, no space around, nothing hidden."""
    return " ".join(visible(text).split())


def _properties(**values: str) -> list[dict[str, str]]:
    """Return those properties that have a value; OSCAL knows no empty one."""
    named = ((name.replace("_", "-"), plain(value)) for name, value in values.items())
    return [{"name": name, "ns": PROPERTY_NAMESPACE, "value": value} for name, value in named if value]


class _Writer:
    """One report, being written."""

    def __init__(self, report: Report, verdict: Verdict | None, report_id: str) -> None:
        self._report, self._verdict, self._id = report, verdict, report_id
        self._standings = Standings(verdict)
        self._pieces = {piece.sha256: piece for piece in report.evidence}
        self._moment = moment_text(report.provenance.finished)
        self._rows = tuple(row for row in report.controls if not _beside_the_point(row))

    def _uuid(self, *parts: str) -> str:
        return str(uuid.uuid5(_NAMESPACE, "/".join((self._id, *parts))))

    def document(self) -> dict[str, object]:
        system = self._report.system
        results: dict[str, object] = {
            "uuid": self._uuid("results"),
            "metadata": {
                "title": escaped(f"Audit of {system.name} {system.version}"),
                "last-modified": self._moment,
                "version": self._id[:12],
                "oscal-version": OSCAL_VERSION,
                "props": _properties(report_sha256=self._id, tool_version=self._report.provenance.tool_version),
                "remarks": escaped(f"Written by fedaudit: {NOT_ADVICE}."),
            },
            "import-ap": {"href": f"#{self._uuid('plan')}"},
        }
        if self._rows:
            results["local-definitions"] = {"objectives-and-methods": [_objective(row) for row in self._rows]}
        results["results"] = [self._result()]
        results["back-matter"] = {"resources": [self._plan()]}
        return {"assessment-results": results}

    def _plan(self) -> dict[str, object]:
        """Return what stands for an assessment plan: the checks, and the policy that was fixed before them."""
        digest = self._report.provenance.policy_sha256
        held = f"The policy with the digest {digest} was fixed before the run." if digest else "No policy was fixed."
        told = "There is no OSCAL assessment plan: the plan is the checks of fedaudit, at the effort of the report."
        return {
            "uuid": self._uuid("plan"),
            "title": "What was planned",
            "description": f"{told} {held}",
            "props": _properties(effort=self._report.provenance.effort, policy_sha256=digest or ""),
        }

    def _result(self) -> dict[str, object]:
        provenance, verdict = self._report.provenance, self._verdict
        judged = {"gate": str(verdict.result), "policy_sha256": verdict.policy_sha256} if verdict else {}
        result: dict[str, object] = {
            "uuid": self._uuid("result"),
            "title": escaped(f"Findings about {self._report.system.name} {self._report.system.version}"),
            "description": "What the checks found, and what the findings say of each duty of the law.",
            "start": moment_text(provenance.started),
            "end": self._moment,
            "props": _properties(report_sha256=self._id, **judged),
            "reviewed-controls": {"control-selections": [self._selection()]},
        }
        if self._report.findings:
            result["observations"] = [self._observation(one) for one in self._report.findings]
        if self._rows:
            result["findings"] = [self._finding(row) for row in self._rows]
        return result

    def _selection(self) -> dict[str, object]:
        """Return which duties were looked at; OSCAL wants a selection even where the report has no table of duties."""
        if not self._rows:
            return {"description": "The report has no table of duties.", "include-all": {}}
        left_out = [row for row in self._report.controls if _beside_the_point(row)]
        chosen: dict[str, object] = {"include-controls": _control_ids(self._rows)}
        return chosen | ({"exclude-controls": _control_ids(left_out)} if left_out else {})

    def _observation(self, finding: Finding) -> dict[str, object]:
        waiver = self._standings.of(finding).waiver
        observed: dict[str, object] = {
            "uuid": self._uuid(finding.fingerprint),
            "title": escaped(finding.title) or finding.check,
            "description": escaped(finding.summary),
            "props": _properties(
                check=finding.check, key=finding.key, status=finding.status, severity=finding.severity,
                strength=finding.strength, basis=finding.basis, reason=finding.reason, fingerprint=finding.fingerprint,
                waiver=waiver or "",
            ),
            "methods": ["TEST" if finding.basis is Basis.MEASURED else "EXAMINE"],
            "types": ["finding"] if finding.status is Status.FAIL else ["control-objective"],
        }  # fmt: skip
        if finding.evidence:
            observed["relevant-evidence"] = list(self._evidence(finding))
        observed["collected"] = self._moment
        return observed | ({"remarks": remarks} if (remarks := " ".join(_remarks(finding))) else {})

    def _evidence(self, finding: Finding) -> Iterator[dict[str, object]]:
        for sha256 in finding.evidence:
            piece = self._pieces[sha256]
            yield {
                "href": f"evidence/{piece.path}",
                "description": escaped(piece.name) or sha256,
                "props": _properties(sha256=sha256, confidentiality=piece.confidentiality),
            }

    def _finding(self, row: ControlRow) -> dict[str, object]:
        token = safe_token(row.control)
        told: dict[str, object] = {
            "uuid": self._uuid("control", row.control, row.law_version),
            "title": escaped(row.control) or token,
            "description": escaped(row.title) or token,
            "props": _properties(
                control=row.control, role=row.role, law_version=row.law_version, applicability=row.applicability,
                state=row.state, support=row.support or "", strength=row.strength or "", ceiling=row.ceiling,
            ),
            "target": {
                "type": "objective-id",
                "target-id": f"{token}_obj",
                "description": _OWN_OBJECTIVE,
                "status": _status(row),
            },
        }  # fmt: skip
        if row.findings:
            told["related-observations"] = [{"observation-uuid": self._uuid(one)} for one in row.findings]
        return told | {"remarks": escaped(f"{STATE_WORD[row.state]}. {row.applicability_reason} {row.next_step}")}


def _beside_the_point(row: ControlRow) -> bool:
    """Tell whether a duty is none of this system's, and nothing was found about it."""
    return row.applicability in ("repealed", "not_addressed") and row.state == "not-assessed"


def _control_ids(rows: Sequence[ControlRow]) -> list[dict[str, str]]:
    return [{"control-id": token} for token in dict.fromkeys(safe_token(row.control) for row in rows)]


def _objective(row: ControlRow) -> dict[str, object]:
    token = safe_token(row.control)
    part = {"id": f"{token}_obj", "name": "assessment-objective", "ns": PROPERTY_NAMESPACE, "prose": escaped(row.title)}
    return {"control-id": token, "description": _OWN_OBJECTIVE, "parts": [part]}


def _status(row: ControlRow) -> dict[str, str]:
    if row.state == "supported" and row.support == "direct":
        return {"state": "satisfied", "reason": "pass"}
    return {"state": "not-satisfied", "reason": "fail" if row.state == "contradicted" else "other"}


def _remarks(finding: Finding) -> Iterator[str]:
    """Yield the numbers, the remedy and the limits of a finding, a sentence each."""
    for one in finding.measurements:
        trials = f", n = {one.n}" if one.n is not None else ""
        limit = f", limit {limit_text(one)}" if one.threshold else ""
        yield escaped(f"{one.name} = {quantity(one)}{trials}{limit}, {one.method}.")
    if finding.remedy:
        yield escaped(f"Remedy: {finding.remedy.text}")
    yield from (escaped(f"Limit: {limit}") for limit in finding.limitations)
