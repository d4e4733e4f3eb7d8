"""`fedaudit gate`: judge a bundle by a policy. The only command that decides, and it never says yes by accident."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import click

from audit.cli.answer import Answer, command
from audit.cli.clock import DAY, MOMENT, the_time
from audit.cli.collector import paused_collector
from audit.cli.exports import exported
from audit.cli.written import require_place, write_whole
from reports.bundle import read_bundle
from reports.consistency import inconsistencies
from reports.errors import FedauditError, IncompleteError, PolicyError
from reports.evidence import evidence_faults, withheld
from reports.judge import Judgement, Outcome, Result, Verdict, judge
from reports.nouns import Status, moment_text
from reports.policy import Policy, load_policy
from reports.statement import PREDICATE_TYPE, Statement
from reports.trust import load_trust
from reports.verdict import gathered
from reports.verify import verify
from reports.wording import counted, visible

PATH = click.Path(path_type=Path)
_GRAVEST_FIRST = (Outcome.FAIL, Outcome.INCOMPLETE, Outcome.WAIVED, Outcome.WARN)
_COLOURS = {"fail": "red", "failed": "red", "incomplete": "yellow", "passed": "green", "waived": "cyan"}
_NOTHING: dict[str, object] = {
    "result": None,
    "authentic": None,
    "policy": None,
    "report": None,
    "counts": None,
    "judgements": [],
    "waivers": [],
}


@dataclass(frozen=True)
class Opened:
    """A report that may be judged, and what is known of its seal."""

    statement: Statement
    """The report with its subjects."""
    authentic: bool | None
    """True if verified; None if nobody asked."""
    withheld: tuple[str, ...]
    """Paths of the evidence that is absent, as it may be."""


@command("gate")
@click.argument("bundle", type=PATH)
@click.option("--policy", required=True, type=PATH, help="What the report must show.")
@click.option("--trust", type=PATH, help="The trust file: whom to believe.")
@click.option(
    "--subject", "subjects", multiple=True, type=PATH, help="A file the report must be about; may be repeated."
)
@click.option("--unsigned", is_flag=True, help="Judge without asking who signed. Say this only where nobody could lie.")
@click.option("--now", type=MOMENT, help="The time; else SOURCE_DATE_EPOCH, else the clock.")
@click.option("--sarif", type=PATH, help="Write the findings as SARIF, for a code host.")
@click.option("--junit", type=PATH, help="Write the findings as JUnit XML, for a CI service.")
@click.option("--summary", type=PATH, help="Add the verdict to this Markdown file, such as $GITHUB_STEP_SUMMARY.")
@click.option("--today", type=DAY, help="The day on which waivers must hold; else that of the time, in UTC.")
def gate(
    bundle: Path,
    policy: Path,
    trust: Path | None,
    subjects: tuple[Path, ...],
    unsigned: bool,
    sarif: Path | None,
    junit: Path | None,
    summary: Path | None,
    now: datetime | None,
    today: date | None,
) -> Answer:
    """Judge BUNDLE by a policy: exit 0 passed, 1 failed, 3 incomplete, 4 not authentic, 2 the call is at fault.

    What --sarif, --junit and --summary name is written of a bundle that was judged, whatever the verdict, and of no
    other.
    """
    moment = the_time(now)
    pages = {kind: path for kind, path in (("sarif", sarif), ("junit", junit), ("summary", summary)) if path}
    try:
        for path in pages.values():
            require_place(path, bundle)
        rules = load_policy(policy)
        _require_one_of(trust, unsigned, subjects, rules)
        with paused_collector():
            opened = _read(bundle) if trust is None else _verified(bundle, trust, subjects, moment)
            verdict = _verdict(opened, rules, today or moment.astimezone(UTC).date())
        for kind, path in pages.items():
            _write(path, kind, opened.statement, verdict)
        return _judged(opened, verdict)
    except FedauditError as error:
        return _refused(error)


def _require_one_of(trust: Path | None, unsigned: bool, subjects: tuple[Path, ...], policy: Policy) -> None:
    if trust is None and not unsigned:
        raise FedauditError(
            "usage", "nothing says whom to believe", "Give --trust and --subject, or say --unsigned out loud."
        )
    if trust is not None and unsigned:
        raise FedauditError("usage", "--trust and --unsigned contradict each other", "Give one of the two.")
    if unsigned and subjects:
        raise FedauditError("usage", "--subject needs --trust: an unsigned report is about nothing", "Remove one.")
    if unsigned and policy.require_trust:
        raise PolicyError("policy.require_trust", f"{policy.name!r} refuses --unsigned", "Give --trust and --subject.")


def _verified(bundle: Path, trust: Path, subjects: tuple[Path, ...], now: datetime) -> Opened:
    verified = verify(bundle, load_trust(trust), subjects, now)
    return Opened(verified.statement, authentic=True, withheld=verified.withheld)


def _read(bundle: Path) -> Opened:
    """Read a bundle without its seal, yet as strictly: what is torn or contradicts itself is not judged.

    Raises:
        BundleError: it cannot be read.
        IncompleteError: `report.inconsistent` or an evidence code (exit 3: of an unsigned bundle nobody promised more).
    """
    statement = read_bundle(bundle).statement
    report = statement.report
    for sentence in inconsistencies(report):
        raise IncompleteError("report.inconsistent", f"{bundle}: {sentence}", "Run the audit again.")
    for fault in evidence_faults(bundle, report.evidence, report.evidence_root, deny_withheld=False):
        raise IncompleteError(fault.code, f"{bundle}: {fault.message}", "Fetch the bundle again, whole.")
    absent = tuple(piece.path for piece in withheld(bundle, report.evidence))
    return Opened(statement, authentic=None, withheld=absent)


def _verdict(opened: Opened, policy: Policy, today: date) -> Verdict:
    statement = opened.statement
    return judge(
        statement.report,
        policy,
        today,
        withheld=opened.withheld,
        report_sha256=statement.sha256,
        subject_sha256s=[subject.digest.sha256 for subject in statement.subjects],
    )


def _write(path: Path, kind: str, statement: Statement, verdict: Verdict) -> None:
    """Write one page for machines; a summary goes behind what the job has said so far."""
    data = exported(kind, statement, verdict)
    if kind != "summary":
        write_whole(path, data)
        return
    with path.open("ab") as file:
        file.write(data)


def _judged(opened: Opened, verdict: Verdict) -> Answer:
    blocking = verdict.counts[Outcome.FAIL] + verdict.counts[Outcome.INCOMPLETE]
    message = f"{verdict.result}: {counted(blocking, 'judgement')} of {len(verdict.judgements)} block"
    return Answer(
        text="\n".join(_lines(verdict, opened)),
        fields=_fields(verdict, opened),
        exit_code=verdict.exit_code,
        code=f"gate.{verdict.result}",
        message=f"{message}s" if blocking == 1 else message,
        hint="" if verdict.result is Result.PASSED else "Each judgement says what would mend it.",
    )


def _fields(verdict: Verdict, opened: Opened) -> dict[str, object]:
    report = opened.statement.report
    statuses = Counter(finding.status for finding in report.findings)
    return {
        "result": str(verdict.result),
        "authentic": opened.authentic,
        "policy": {"name": verdict.policy_name, "sha256": verdict.policy_sha256},
        "report": {
            "sha256": verdict.report_sha256,
            "system": report.system.name,
            "version": report.system.version,
            "finished": moment_text(report.provenance.finished),
            "predicate_type": PREDICATE_TYPE,
        },
        "counts": {str(status): statuses[status] for status in Status},
        "judgements": [judgement.model_dump(mode="json") for judgement in verdict.judgements],
        "waivers": [waiver.model_dump(mode="json") for waiver in verdict.waivers],
    }


def _lines(verdict: Verdict, opened: Opened) -> list[str]:
    report = opened.statement.report
    seal = "authentic" if opened.authentic else "NOT VERIFIED, --unsigned"
    head = click.style(str(verdict.result).upper(), fg=_COLOURS[verdict.result], bold=True)
    about = f"{report.system.name} {report.system.version}, report {opened.statement.sha256[:12]} ({seal})"
    lines = [f"{head}: {_one_line(about)}, by policy {_one_line(verdict.policy_name)} on {verdict.today}"]
    rows = sorted((j for j in verdict.judgements if j.outcome is not Outcome.OK), key=_gravity)
    lines += [_line(judgement) for judgement in gathered(rows)]
    counts = ", ".join(f"{count} {outcome}" for outcome, count in reversed(verdict.counts.items()) if count)
    lines.append(f"  {counts or 'no rule had anything to judge'}")
    statuses = Counter(finding.status for finding in report.findings)
    lines.append(f"  findings: {', '.join(f'{statuses[s]} {s}' for s in Status if statuses[s]) or 'none'}")
    return lines


def _gravity(judgement: Judgement) -> int:
    return _GRAVEST_FIRST.index(judgement.outcome)


def _line(judgement: Judgement) -> str:
    word = click.style(f"{judgement.outcome:<10}", fg=_COLOURS.get(judgement.outcome))
    by = f" (waiver {judgement.waiver})" if judgement.outcome is Outcome.WAIVED else ""
    return f"  {word}  {judgement.code}  {_one_line(judgement.message + by)}"


def _one_line(text: str) -> str:
    """Return words of a report so that they can neither hide, reorder, nor begin a line of ours."""
    return visible(" ".join(text.split()))


def _refused(error: FedauditError) -> Answer:
    """Return the answer of a bundle that was not judged; one that is not authentic is told on stdout, as by verify."""
    answer = replace(Answer.of_error(error), fields=dict(_NOTHING))
    if error.exit_code != 4:
        return answer
    head = click.style("NOT AUTHENTIC", fg="red", bold=True)
    lines = [f"{head} {error.code}: {_one_line(error.message)}", *([f"  {error.hint}"] if error.hint else [])]
    return replace(answer, text="\n".join(lines), fields={**_NOTHING, "authentic": False})
