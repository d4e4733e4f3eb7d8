"""`fedaudit run`: ask every applicable check and write the bundle."""

import json
import logging
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli.answer import Answer, Invocation, command
from audit.cli.clock import MOMENT, the_time
from audit.cli.computing_options import computing_options, named_device
from audit.cli.passphrase import passphrase_from, private_key
from audit.cli.stoppable import stoppable
from reports.model import Auditor, Effort, Status

if TYPE_CHECKING:
    from audit.run import Audited, Request

PATH = click.Path(path_type=Path)
_OPTIONS = ("trust_code", "engine", "judge", "allow_remote_llm", "policy", "previous", "trust", "selftest")
"""What the checks may know of the command line as it stands."""


@command("run")
@click.argument("system", type=PATH)
@click.option("-o", "--output", "bundle", required=True, type=PATH, help="The bundle to write.")
@click.option("--only", multiple=True, metavar="GLOB", help="Ask only these checks; may be repeated.")
@click.option("--skip", multiple=True, metavar="GLOB", help="Leave these checks out; may be repeated.")
@click.option("--checks", "plugins", multiple=True, type=PATH, help="A Python file with checks.")
@click.option("--effort", type=click.Choice([str(effort) for effort in Effort]), default="standard", show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**53 - 1), help="Root seed; by default derived, so nobody chose it.")
@click.option("--nonce", metavar="WORD", help="A verifier's word, part of the derived seed.")
@computing_options
@click.option("--judge", type=PATH, help="A judge.toml: who reads the documents.")
@click.option(
    "--allow-remote-llm",
    multiple=True,
    metavar="HOST",
    envvar="FEDAUDIT_ALLOW_REMOTE_LLM",
    help="Documents may go to this host; may be repeated.",
)
@click.option("--trust-code", is_flag=True, help="Allow [model].definition to run the owner's code.")
@click.option("--resume", is_flag=True, help="Go on with the run of this bundle that was stopped.")
@click.option("--keep-run", is_flag=True, help="Keep BUNDLE.run beside the bundle: timings, trials, salts.")
@click.option("--salted-evidence", is_flag=True, help="Salt what may be withheld, so that no guess can be confirmed.")
@click.option("--no-render", is_flag=True, help="Write no report for people into the bundle.")
@click.option("--policy", type=PATH, help="Commit to this policy before the first measurement.")
@click.option("--previous", type=PATH, metavar="BUNDLE", help="The report that this one follows.")
@click.option(
    "--trust",
    type=PATH,
    help="A trust.toml: who is believed on the previous report and on time stamps.",
)
@click.option("--selftest", type=PATH, metavar="FILE", help="Evidence of 'fedaudit selftest -o FILE', to be cited.")
@click.option("--auditor", metavar="NAME", help="The person who answers for the test.")
@click.option("--organisation", metavar="NAME", help="Where that person works.")
@click.option("--independence", type=click.Choice(["internal", "external"]))
@click.option("--now", type=MOMENT, help="The clock of the run; else SOURCE_DATE_EPOCH, else the clock.")
@click.option("--key", type=PATH, help="Sign the report with this key.")
@click.option("--role", type=click.Choice(["auditor", "provider"]), help="Of who signs: a hint; trust files decide.")
@click.option("--passphrase-file", type=PATH, help="First line: the key's passphrase.")
@click.pass_context
def run(ctx: click.Context, /, system: Path, bundle: Path, **given: Any) -> Answer:
    """Ask every check that applies to SYSTEM (a system.toml) and write a bundle.

    Returns 0 whenever the report was written, whatever it says: 'fedaudit gate' decides. A run that is stopped leaves
    BUNDLE.run and no bundle; '--resume' goes on with it, and ends in the same report.
    """
    invocation = ctx.find_object(Invocation) or Invocation()
    if invocation.debug:
        logging.basicConfig(level=logging.DEBUG)
    _refuse(given)
    moment = the_time(given["now"])
    signer = private_key(given["key"], passphrase_from(given["passphrase_file"])) if given["key"] else None

    from audit.cli.progress import DrawnProgress  # torch, rich and the checks are loaded once the line is known good
    from audit.executors import named_executor
    from audit.run import run_audit
    from reports.renderings import standard_renderings

    request = _request(system, bundle, moment, given)
    render, executor = None if given["no_render"] else standard_renderings, named_executor(given["executor"])
    with stoppable(bundle), DrawnProgress(system.name, color=invocation.color) as progress:
        audited = run_audit(request, key=signer, render=render, executor=executor, progress=progress)
    return _answer(audited, given)


def _refuse(given: Mapping[str, Any]) -> None:
    """Raise where options contradict one another."""
    for option, needed, why in (
        ("organisation", "auditor", "a person answers for the test"),
        ("role", "key", "it is the role of who signs"),
    ):
        if given[option] and not given[needed]:
            raise click.UsageError(f"--{option} needs --{needed}: {why}")
    if given["seed"] is not None and given["nonce"]:
        raise click.UsageError("--nonce proves nothing beside --seed: a chosen seed does not follow from it")


def _request(system: Path, bundle: Path, moment: datetime, given: Mapping[str, Any]) -> "Request":
    """Return what the command line asks for."""
    from audit.plan import load_plugin
    from audit.run import Request
    from reports.check import Options
    from reports.policy import load_policy, policy_digest
    from reports.self_test import read_self_test

    if given["selftest"]:
        read_self_test(given["selftest"])  # what cannot be cited is said before anything is measured
    promised = load_policy(given["policy"]) if given["policy"] else None
    auditor, organisation, independence = (given[name] for name in ("auditor", "organisation", "independence"))
    options = Options(
        device=named_device(given["device"]),
        pinned=promised.pinned if promised else (),
        **{name: given[name] for name in _OPTIONS},
    )
    return Request(
        system_file=system,
        bundle=bundle,
        now=moment,
        now_was_said=given["now"] is not None,
        effort=Effort(given["effort"]),
        extra_checks=tuple(check for plugin in given["plugins"] for check in load_plugin(plugin)),
        policy_sha256=policy_digest(promised) if promised else None,
        auditor=Auditor(name=auditor, organisation=organisation, independence=independence) if auditor else None,
        options=options,
        leftover="resume" if given["resume"] else "refuse",
        **{name: given[name] for name in ("seed", "nonce", "only", "skip", "keep_run", "salted_evidence")},
    )


def _answer(audited: "Audited", given: Mapping[str, Any]) -> Answer:
    """Return what the report says, in short."""
    report = audited.statement.report
    counts = Counter(finding.status for finding in report.findings)
    shown = ("check", "key", "status", "severity", "strength", "summary", "reason", "fingerprint")
    fields = {
        "bundle": str(audited.bundle),
        "report_sha256": audited.statement.sha256,
        "signed": audited.keyid is not None,
        "keyid": audited.keyid,
        "counts": {str(status): counts[status] for status in Status},
        "findings": [json.loads(f.model_dump_json(include=set(shown))) for f in report.findings],
        "evidence": {"files": len(report.evidence), "bytes": sum(piece.size for piece in report.evidence)},
    }
    lines = [_text(audited.bundle, audited.statement.sha256, counts, given["no_render"])]
    if audited.keyid is not None:
        role = f" as {given['role']}" if given["role"] else ""
        lines.append(f"signed{role} with key {audited.keyid[:16]}")
    if given["keep_run"]:
        lines.append(f"kept   {audited.bundle}.run")
    return Answer(text="\n".join(lines), fields=fields)


def _text(bundle: Path, report_id: str, counts: Counter[Status], no_render: bool) -> str:
    words = {Status.PASS: "passed", Status.FAIL: "failed", Status.SKIPPED: "not asked", Status.ERROR: "broke off"}
    tally = ", ".join(f"{counts[status]} {words.get(status, status)}" for status in Status if counts[status])
    lines = [f"{tally}", f"report {report_id[:12]} in {bundle}"]
    if not no_render:
        lines.append(f"read   {bundle / 'render' / 'report.html'}")
    return "\n".join(lines)
