"""`fedaudit verify`: is a bundle authentic, complete, about this very model, and fresh?"""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from audit.cli.answer import Answer, command
from audit.cli.clock import MOMENT, the_verifiers_time
from audit.cli.collector import paused_collector
from audit.cli.withheld_text import first_of
from reports.nouns import moment_text
from reports.statement import PREDICATE_TYPE
from reports.trust import load_trust
from reports.verified import StepError, Verified
from reports.verify import Renderings
from reports.verify import verify as verify_bundle

PATH = click.Path(path_type=Path)


@command("verify")
@click.argument("bundle", type=PATH)
@click.option("--trust", required=True, type=PATH, help="The trust file: whom to believe.")
@click.option(
    "--subject", "subjects", multiple=True, type=PATH, help="A file the report must be about; may be repeated."
)
@click.option("--now", type=MOMENT, help="The time; by default the clock's, whatever SOURCE_DATE_EPOCH says.")
@click.option("--policy", type=PATH, help="The policy that must have been fixed before the run.")
@click.option("--renderings", is_flag=True, help="Render the report again and compare it byte for byte.")
@click.option("--all", "all_faults", is_flag=True, help="List every fault of the evidence, not the first alone.")
@click.option("--signature-only", is_flag=True, help="Leave out subjects, policy, evidence and renderings.")
def verify(
    bundle: Path,
    trust: Path,
    subjects: tuple[Path, ...],
    now: datetime | None,
    policy: Path | None,
    renderings: bool,
    all_faults: bool,
    signature_only: bool,
) -> Answer:
    """Verify BUNDLE in seventeen numbered steps; the first refusal ends it with one code and exit 4.

    BUNDLE is the folder that was written, or a zip of what is in it, which is read in place and never unpacked:
    cd BUNDLE && zip -r ../bundle.zip . makes one. Every command that reads a bundle reads either.
    """
    trusted = load_trust(trust)
    digest = None
    if policy:
        from reports.policy import load_policy, policy_digest  # 60 ms that most calls do not need

        digest = policy_digest(load_policy(policy))
    render: Renderings | None = None
    if renderings:
        from reports.renderings import renderings_of

        render = renderings_of(bundle)
    try:
        with paused_collector():
            verified = verify_bundle(
                bundle,
                trusted,
                subjects,
                the_verifiers_time(now),
                policy_sha256=digest,
                all_faults=all_faults,
                signature_only=signature_only,
                renderings=render,
            )
    except StepError as error:
        return _refused(error)
    return Answer(text=_text(verified, signature_only), fields=_fields(verified))


def _refused(error: StepError) -> Answer:
    steps = [{"step": step, "ok": step < error.step} for step in range(1, error.step + 1)]
    fields = {
        "authentic": False,
        "report": None,
        "signers": [],
        "subjects": [],
        "evidence": None,
        "trust_sha256": None,
        "steps": steps,
        "faults": [{"code": fault.code, "message": fault.message} for fault in error.faults],
        "warnings": [],
    }
    lines = [f"{click.style('NOT AUTHENTIC', fg='red', bold=True)} {error.code}: {error.message}"]
    lines += [f"  {fault.code}: {fault.message}" for fault in error.faults[1:]]
    lines += [f"  {error.hint}"] if error.hint else []
    return Answer(
        text="\n".join(lines) if error.exit_code == 4 else "",  # a wrong call is no result, and told as any other
        fields=fields,
        exit_code=error.exit_code,
        code=error.code,
        message=error.message,
        hint=error.hint,
    )


def _fields(verified: Verified) -> dict[str, object]:
    report = verified.report
    return {
        "authentic": True,
        "report": {
            "sha256": verified.statement.sha256,
            "system": report.system.name,
            "version": report.system.version,
            "finished": moment_text(report.provenance.finished),
            "predicate_type": PREDICATE_TYPE,
        },
        "signers": [asdict(signer) for signer in verified.signers],
        "subjects": [{"path": s.path, "sha256": s.sha256, "matched": s.name} for s in verified.subjects],
        "evidence": {
            "files": verified.evidence_files,
            "bytes": verified.evidence_bytes,
            "withheld": list(verified.withheld),
        },
        "trust_sha256": verified.trust_sha256,
        "steps": [{"step": step, "ok": True} for step in verified.steps],
        "faults": [],
        "warnings": list(verified.warnings),
    }


def _text(verified: Verified, signature_only: bool) -> str:
    report = verified.report
    title = f"{report.system.name} {report.system.version}"
    finished = moment_text(report.provenance.finished)
    lines = [f"{click.style('authentic', fg='green', bold=True)}: report {verified.statement.sha256[:12]} on {title}"]
    lines.append(f"  finished   {finished}")
    for signer in verified.signers:
        told = f"time-stamped {signer.stamped_at}" if signer.stamped_at else "no time-stamp"
        note = f" ({told})" if signer.counted else f" ({told}; not counted: {signer.reason})"
        lines.append(f"  signed by  {signer.name}, {signer.role}, key {signer.keyid[:16]}{note}")
    lines += [f"  about      {subject.path}" for subject in verified.subjects]
    if signature_only:
        lines.append("  NOT CHECKED: subjects, policy, evidence and renderings (--signature-only)")
    else:
        withheld = f", {len(verified.withheld)} withheld" if verified.withheld else ""
        lines.append(f"  evidence   {verified.evidence_files} files, {verified.evidence_bytes} bytes{withheld}")
        lines += [f"  withheld   {path}" for path in first_of(verified.withheld)]
    lines += [f"  note       {warning}" for warning in verified.warnings]
    return "\n".join(lines)
