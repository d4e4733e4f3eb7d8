"""`fedaudit gate`: judge a bundle by a policy. The only command that decides, and it never says yes by accident."""

from datetime import UTC, date, datetime
from pathlib import Path

import click

from audit.cli.answer import Answer, command
from audit.cli.clock import DAY, MOMENT, the_verifiers_time
from audit.cli.collector import paused_collector
from audit.cli.exports import exported
from audit.cli.gate_lint import lint_warnings, require_lint_alone
from audit.cli.gate_reading import open_baseline, open_report, verdict_of
from audit.cli.gate_text import judged, linted, refused
from audit.cli.passphrase import passphrase_from, private_key
from audit.cli.written import require_place, write_whole
from reports.dsse import PAYLOAD_TYPE, Envelope, sign
from reports.errors import FedauditError, PolicyError
from reports.export_svr import export_svr
from reports.keys import PrivateKey
from reports.policy import Policy, load_policy, load_waivers
from reports.trust import load_trust

PATH = click.Path(path_type=Path)


@command("gate")
@click.argument("bundle", required=False, type=PATH)
@click.option("--policy", required=True, type=PATH, help="What the report must show.")
@click.option("--trust", type=PATH, help="The trust file: whom to believe.")
@click.option(
    "--subject", "subjects", multiple=True, type=PATH, help="A file the report must be about; may be repeated."
)
@click.option("--unsigned", is_flag=True, help="Judge without asking who signed. Say this only where nobody could lie.")
@click.option("--baseline", type=PATH, help="An earlier bundle of the system, of any age, by keys that --trust names.")
@click.option("--waivers", type=PATH, help="Waivers, from where the change under review cannot edit them.")
@click.option("--now", type=MOMENT, help="The time; by default the clock's, whatever SOURCE_DATE_EPOCH says.")
@click.option("--today", type=DAY, help="The day on which waivers must hold; else that of the time, in UTC.")
@click.option("--sarif", type=PATH, help="Write the findings as SARIF, for a code host.")
@click.option("--source", type=PATH, help="The system file that was audited: SARIF then points to its lines.")
@click.option("--junit", type=PATH, help="Write the findings as JUnit XML, for a CI service.")
@click.option("--summary", type=PATH, help="Add the verdict to this Markdown file, such as $GITHUB_STEP_SUMMARY.")
@click.option("--svr", type=PATH, help="Write the verdict as an in-toto attestation about the subjects.")
@click.option("--key", type=PATH, help="Sign that attestation with this private key.")
@click.option("--passphrase-file", type=PATH, help="First line: the key's passphrase.")
@click.option("--lint", is_flag=True, help="Only see whether policy, trust and waivers files are sound; no BUNDLE.")
@click.pass_context
def gate(
    ctx: click.Context,
    bundle: Path | None,
    policy: Path,
    trust: Path | None,
    subjects: tuple[Path, ...],
    unsigned: bool,
    baseline: Path | None,
    waivers: Path | None,
    now: datetime | None,
    today: date | None,
    sarif: Path | None,
    source: Path | None,
    junit: Path | None,
    summary: Path | None,
    svr: Path | None,
    key: Path | None,
    passphrase_file: Path | None,
    lint: bool,
) -> Answer:
    """Judge BUNDLE by a policy: exit 0 passed, 1 failed, 3 incomplete, 4 not authentic, 2 the call is at fault.

    What --sarif, --junit, --summary and --svr name is written of a bundle that was judged, whatever the verdict, and
    of no other. Where --waivers is given, the policy may hold none of its own.
    """
    moment = the_verifiers_time(now)
    day = today or moment.astimezone(UTC).date()
    if lint:
        require_lint_alone(ctx)
        return _linted(policy, trust, waivers, moment, day)
    if bundle is None:
        raise click.UsageError("Missing argument 'BUNDLE': the bundle to judge, or --lint.")
    if source and not sarif:
        raise click.UsageError("--source is for --sarif: nothing else knows lines")
    pages = {kind: path for kind, path in (("sarif", sarif), ("junit", junit), ("summary", summary)) if path}
    try:
        for path in (*pages.values(), *filter(None, [svr])):
            require_place(path, bundle)
        rules = load_policy(policy)
        _require_one_of(trust, unsigned, subjects, rules)
        _require_attestable(svr, key, unsigned)
        excused = load_waivers(waivers, rules) if waivers else ()
        believed = load_trust(trust) if trust else None
        signer = private_key(key, passphrase_from(passphrase_file)) if key else None
        with paused_collector():
            opened = open_report(bundle, believed, subjects, moment)
            earlier = open_baseline(baseline, believed, moment) if baseline else None
            verdict = verdict_of(opened, rules, day, earlier, excused)
        for kind, path in pages.items():
            _write(path, kind, exported(kind, opened.statement, verdict, source))
        if svr:
            _attest(svr, export_svr(opened.statement, verdict, moment), signer)
        return judged(verdict, opened, earlier)
    except FedauditError as error:
        return refused(error)


def _linted(policy: Path, trust: Path | None, waivers: Path | None, now: datetime, today: date) -> Answer:
    try:
        rules = load_policy(policy)
        excused = load_waivers(waivers, rules) if waivers else rules.waivers
        believed = load_trust(trust) if trust else None
    except FedauditError as error:
        return refused(error)
    files = (path for path in (policy, trust, waivers) if path)
    return linted(rules, files, lint_warnings(rules, excused, believed, now, today))


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


def _require_attestable(svr: Path | None, key: Path | None, unsigned: bool) -> None:
    if key and not svr:
        raise FedauditError("usage", "--key signs the attestation of --svr, and there is none", "Add --svr FILE.")
    if svr and unsigned:
        raise FedauditError(
            "usage", "--svr attests to others, and nobody verified the report", "Give --trust and --subject."
        )


def _write(path: Path, kind: str, data: bytes) -> None:
    """Write one page for machines; a summary goes behind what the job has said so far."""
    if kind != "summary":
        write_whole(path, data)
        return
    with path.open("ab") as file:
        file.write(data)


def _attest(path: Path, body: bytes, key: PrivateKey | None) -> None:
    """Write an attestation: in an envelope if somebody signs it, else the bare statement."""
    write_whole(path, body if key is None else Envelope(PAYLOAD_TYPE, body, (sign(body, key),)).to_bytes())
