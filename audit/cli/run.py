"""`fedaudit run`: ask every applicable check and write the bundle."""

import json
import logging
from collections import Counter
from datetime import datetime
from pathlib import Path

import click

from audit.cli.answer import Answer, Invocation, command
from audit.cli.clock import MOMENT, the_time
from audit.cli.computing_options import computing_options, named_device
from audit.cli.passphrase import passphrase_from, private_key
from reports.model import Auditor, Effort, Status


@command("run")
@click.argument("system", type=click.Path(path_type=Path))
@click.option("-o", "--output", "bundle", required=True, type=click.Path(path_type=Path), help="The bundle to write.")
@click.option("--only", multiple=True, metavar="GLOB", help="Ask only these checks; may be repeated.")
@click.option("--skip", multiple=True, metavar="GLOB", help="Leave these checks out; may be repeated.")
@click.option("--checks", "plugins", multiple=True, type=click.Path(path_type=Path), help="A Python file with checks.")
@click.option("--effort", type=click.Choice([str(effort) for effort in Effort]), default="standard", show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**53 - 1), help="Root seed; by default derived, so nobody chose it.")
@click.option("--nonce", metavar="WORD", help="A verifier's word, part of the derived seed.")
@computing_options
@click.option("--judge", type=click.Path(path_type=Path), help="A judge.toml: who reads the documents.")
@click.option(
    "--allow-remote-llm",
    multiple=True,
    metavar="HOST",
    envvar="FEDAUDIT_ALLOW_REMOTE_LLM",
    help="Documents may go to this host; may be repeated.",
)
@click.option("--trust-code", is_flag=True, help="Allow [model].definition to run the owner's code.")
@click.option("--no-render", is_flag=True, help="Write no report for people into the bundle.")
@click.option("--policy", type=click.Path(path_type=Path), help="Commit to this policy before the first measurement.")
@click.option("--auditor", metavar="NAME", help="The person who answers for the test.")
@click.option("--organisation", metavar="NAME", help="Where that person works.")
@click.option("--independence", type=click.Choice(["internal", "external"]))
@click.option("--now", type=MOMENT, help="The clock of the run; else SOURCE_DATE_EPOCH, else the clock.")
@click.option("--key", type=click.Path(path_type=Path), help="Sign the report with this key.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="First line: the key's passphrase.")
@click.pass_context
def run(
    ctx: click.Context,
    system: Path,
    bundle: Path,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    plugins: tuple[Path, ...],
    effort: str,
    seed: int | None,
    nonce: str | None,
    executor: str,
    device: str,
    engine: str,
    judge: Path | None,
    allow_remote_llm: tuple[str, ...],
    trust_code: bool,
    no_render: bool,
    policy: Path | None,
    auditor: str | None,
    organisation: str | None,
    independence: str | None,
    now: datetime | None,
    key: Path | None,
    passphrase_file: Path | None,
) -> Answer:
    """Ask every check that applies to SYSTEM (a system.toml) and write a bundle.

    Returns 0 whenever the report was written, whatever it says: 'fedaudit gate' decides.
    """
    invocation = ctx.find_object(Invocation) or Invocation()
    if invocation.debug:
        logging.basicConfig(level=logging.DEBUG)
    if organisation and not auditor:
        raise click.UsageError("--organisation needs --auditor: a person answers for the test")
    if seed is not None and nonce:
        raise click.UsageError("--nonce proves nothing beside --seed: a chosen seed does not follow from it")
    moment = the_time(now)
    signer = private_key(key, passphrase_from(passphrase_file)) if key else None

    from audit.cli.progress import DrawnProgress  # torch, rich and the checks are loaded once the line is known good
    from audit.executors import named_executor
    from audit.plan import load_plugin
    from audit.run import Request, run_audit
    from reports.check import Options
    from reports.policy import load_policy, policy_digest
    from reports.renderings import standard_renderings

    promised = load_policy(policy) if policy else None
    options = Options(
        trust_code=trust_code,
        engine=engine,
        device=named_device(device),
        judge=judge,
        allow_remote_llm=allow_remote_llm,
        pinned=promised.pinned if promised else (),
    )
    request = Request(
        system_file=system,
        bundle=bundle,
        now=moment,
        effort=Effort(effort),
        seed=seed,
        nonce=nonce,
        only=only,
        skip=skip,
        extra_checks=tuple(check for plugin in plugins for check in load_plugin(plugin)),
        policy_sha256=policy_digest(promised) if promised else None,
        auditor=Auditor(name=auditor, organisation=organisation, independence=independence) if auditor else None,
        options=options,
    )
    with DrawnProgress(system.name, color=invocation.color) as progress:
        render = None if no_render else standard_renderings
        audited = run_audit(request, key=signer, render=render, executor=named_executor(executor), progress=progress)
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
    return Answer(text=_text(audited.bundle, audited.statement.sha256, counts, no_render), fields=fields)


def _text(bundle: Path, report_id: str, counts: Counter[Status], no_render: bool) -> str:
    words = {Status.PASS: "passed", Status.FAIL: "failed", Status.SKIPPED: "not asked", Status.ERROR: "broke off"}
    tally = ", ".join(f"{counts[status]} {words.get(status, status)}" for status in Status if counts[status])
    lines = [f"{tally}", f"report {report_id[:12]} in {bundle}"]
    if not no_render:
        lines.append(f"read   {bundle / 'render' / 'report.html'}")
    return "\n".join(lines)
