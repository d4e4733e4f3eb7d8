"""The checks `report.*`: whether the test itself was conducted as a test must be.

They read no artifact: thresholds that were fixed beforehand, a person who answers, the report that went before, and in
`reports.self_test_check` whether the auditor was tried.
"""

from collections.abc import Iterator
from pathlib import Path

from reports.check import Context, check
from reports.model import Basis, Confidentiality, Finding, Remedy, Report, Severity, Status, Strength, System
from reports.nouns import moment_text
from reports.policy import load_policy, policy_bytes, policy_digest
from reports.previous import PreviousReport, read_previous
from reports.self_test_check import self_test
from reports.stamped import MEDIA_TYPE, Stamp, stamp_beside

__all__ = ["lineage", "responsible_person", "self_test", "thresholds_committed"]

_OWN_WORD = "The order of events is the run's own record: whoever ran it could have run it before, in secret."
_UNSEEN = "That no test was run in secret before the policy was stamped is the owner's word."
_SIGNED_WHEN = "When the earlier report was signed is its signers' own word: no listed authority time-stamped it."
_UNSEEN_EARLIER = "That no test was run in secret before the earlier report is the owner's word."
_UNVERIFIED = "The previous report's signature was not verified: no trust file said whose signature counts."


@check(
    "report.thresholds-committed",
    "The thresholds were fixed before the first measurement",
    needs=("run:policy",),
    controls=("EU-AIA:9(8)", "EU-AIA:17(1)(d)"),
    kinds=("thresholds", "signature"),
    strength=Strength.DOCUMENT,
    severity=Severity.MEDIUM,
)
def thresholds_committed(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether the policy was recorded before anything was measured (Regulation (EU) 2024/1689, Art. 9(8)).

    Passes when the digest of the policy was recorded before the first trial and the previous report of this version, if
    one is given, committed to the same. Exact where that report is of before and bears a trusted signature, or where a
    time stamp beside the policy (RFC 3161, by an authority of `--trust`) proves that it stood before the run; else a
    document, since the run's record is its owner's word. Inconclusive when the previous report of this version
    committed to another policy or to none, since thresholds may have moved once results were seen, and when nothing was
    recorded beforehand. Skipped without `--policy`.
    """
    digest = ctx.options.policy_sha256 or ""
    earlier = _previous(ctx)
    same_version = earlier is not None and _is_of(earlier.report, system) and _precedes(earlier.report, ctx)
    if not ctx.options.policy_recorded_first:
        told = "No record shows that the policy was fixed before the first measurement."
        yield ctx.finding(Status.INCONCLUSIVE, told, basis=Basis.DECLARED, reason="not-recorded")
    elif earlier is not None and same_version and earlier.report.provenance.policy_sha256 != digest:
        yield _moved(earlier, digest, ctx)
    elif earlier is not None and same_version and earlier.signers and earlier.report.provenance.finished < ctx.now:
        told = f"The policy {digest[:12]} stands in the report {earlier.sha256[:12]}, signed by {earlier.signers[0]}."
        limits = (_UNSEEN_EARLIER,) if earlier.stamped else (_UNSEEN_EARLIER, _SIGNED_WHEN)
        yield ctx.finding(Status.PASS, told[:300], strength=Strength.EXACT, basis=Basis.RECORDED, limitations=limits)
    else:
        yield _stamped_or_said(digest, _doubts(earlier), ctx)


def _moved(earlier: PreviousReport, digest: str, ctx: Context) -> Finding:
    before = earlier.report.provenance.policy_sha256
    told = f"Report {earlier.sha256[:12]} on this version was under {_policy(before)}, this one under {digest[:12]}."
    return ctx.finding(
        Status.INCONCLUSIVE,
        told,
        basis=Basis.RECORDED,
        detail="Thresholds that move once results were seen were not fixed beforehand, though they may be tighter.",
        remedy=Remedy(
            parameter="--policy",
            direction="set",
            text="Judge this version by the policy that it was first tested under.",
        ),
        limitations=_doubts(earlier),
        reason="policy-changed",
    )


def _stamped_or_said(digest: str, doubts: tuple[str, ...], ctx: Context) -> Finding:
    """Return the pass that a time stamp beside the policy proves, or the one that rests on the run's own record."""
    stamp = _stamp(ctx.options.policy, digest, ctx)
    if stamp.reply and stamp.moment and stamp.moment < ctx.now:
        kept = ctx.evidence("time stamp of the policy", stamp.reply, MEDIA_TYPE, Confidentiality.PUBLIC)
        day = f"{stamp.moment:%Y-%m-%d}"
        return ctx.finding(
            Status.PASS,
            f"A time stamp by a listed authority proves that the policy {digest[:12]} stood on {day}.",
            strength=Strength.EXACT,
            basis=Basis.RECORDED,
            evidence=(kept,),
            limitations=(_UNSEEN, *doubts),
        )
    late = "it is not of before the run" if stamp.moment else stamp.doubt
    why = (f"The time stamp beside the policy proves nothing: {late}.",) if late else ()
    told = f"The policy {digest[:12]} was recorded before the first measurement of this run."
    return ctx.finding(Status.PASS, told, basis=Basis.DECLARED, limitations=(_OWN_WORD, *why, *doubts))


def _stamp(file: Path | None, digest: str, ctx: Context) -> Stamp:
    """Return what lies beside the policy that the run committed to; nothing if the file is no longer that policy."""
    if file is None or policy_digest(policy := load_policy(file)) != digest:
        return Stamp()
    return stamp_beside(file, policy_bytes(policy), ctx.options.trust)


@check(
    "report.responsible-person",
    "A named person answers for this test",
    controls=("EU-AIA:annex-IV(2)(g)",),
    kinds=("document",),
    strength=Strength.DOCUMENT,
    severity=Severity.LOW,
)
def responsible_person(_system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether somebody answers for the test (Annex IV(2)(g): reports dated and signed by the responsible persons).

    Passes with a name and an organisation; skipped where one is not given, or has no letter in it. That the person
    exists, and signed, is for the reader's trust file to say.
    """
    auditor = ctx.options.auditor
    if auditor is None or not (_is_name(auditor.name) and _is_name(auditor.organisation)):
        lacking = "--auditor" if auditor is None or not _is_name(auditor.name) else "--organisation"
        told = f"Nobody was named as answering for this test: {lacking} was not given."
        yield ctx.finding(Status.SKIPPED, told, severity=Severity.INFO, reason=f"missing:{lacking}")
        return
    independence = f", {auditor.independence}" if auditor.independence else ""
    yield ctx.finding(
        Status.PASS,
        f"{auditor.name}, {auditor.organisation}{independence}, answers for this test."[:300],
        basis=Basis.DECLARED,
        limitations=("The name is as it was given; a signature in the reader's trust file ties it to a key.",),
    )


def _is_name(word: str | None) -> bool:
    return any(letter.isalpha() for letter in word or "")


@check(
    "report.lineage",
    "This report follows the previous one of the same system",
    needs=("run:previous",),
    controls=("EU-AIA:annex-IV(6)",),
    kinds=("signature",),
    strength=Strength.EXACT,
    severity=Severity.LOW,
)
def lineage(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether the report that `--previous` names is an earlier one of the same system (Annex IV(6)).

    Passes when it is of a system of this name and was finished no later than this run: exact where its signature is
    trusted (`--trust`), else a document. Inconclusive when it is of another system or newer. Skipped without
    `--previous`.
    """
    earlier = _previous(ctx)
    if earlier is None:
        told = "No previous report was given."
        yield ctx.finding(Status.SKIPPED, told, severity=Severity.INFO, reason="missing:run:previous")
        return
    basis = Basis.RECORDED if earlier.signers else Basis.DECLARED
    strength = Strength.EXACT if earlier.signers else Strength.DOCUMENT  # unverified, it is anybody's word
    name, limits = earlier.report.system.name, _doubts(earlier)
    if name != system.name:
        told = f"The report {earlier.sha256[:12]} is about {name}, not about {system.name}."
        yield ctx.finding(Status.INCONCLUSIVE, told[:300], basis=basis, limitations=limits, reason="other-system")
    elif not _precedes(earlier.report, ctx):
        when = moment_text(earlier.report.provenance.finished)
        told = f"The report {earlier.sha256[:12]} was finished on {when}, after this run."
        yield ctx.finding(Status.INCONCLUSIVE, told, basis=basis, limitations=limits, reason="newer")
    else:
        versions = f"version {earlier.report.system.version}, now {system.version}"
        told = (
            f"This report follows {earlier.sha256[:12]} of {earlier.report.provenance.finished:%Y-%m-%d} ({versions})."
        )
        yield ctx.finding(Status.PASS, told[:300], strength=strength, basis=basis, limitations=limits)


def _previous(ctx: Context) -> PreviousReport | None:
    """Return the earlier report, read once for all checks; None where none was given."""
    path = ctx.options.previous
    if path is None:
        return None
    return ctx.once("report.previous", lambda: read_previous(path, ctx.options.trust, ctx.now))


def _is_of(report: Report, system: System) -> bool:
    return (report.system.name, report.system.version) == (system.name, system.version)


def _precedes(report: Report, ctx: Context) -> bool:
    return report.provenance.finished <= ctx.now


def _doubts(earlier: PreviousReport | None) -> tuple[str, ...]:
    return (_UNVERIFIED,) if earlier is not None and not earlier.signers else ()


def _policy(sha256: str | None) -> str:
    return f"the policy {sha256[:12]}" if sha256 else "no policy fixed beforehand"
