"""Is this report authentic, complete, about this very model, and fresh? Seventeen steps that a reader can tick off.

Each step may use only what the steps before it proved; the numbers are those of the specification. The first refusal
ends the verification with its code, so that one bundle has one answer:

     1 trust file      (done by `reports.trust.load_trust`)       10 schema
     2 envelope file                                              11 inner consistency
     3 strict JSON                                                12 times
     4 payload type                                               13 roles
     5 strict base64                                              14 subjects
     6 signatures                                                 15 policy
     7 strict JSON of the payload                                 16 evidence
     8 canonical form                                             17 renderings
     9 statement and predicate type

Up to step 6 nothing inside the payload is looked at; from there on, it is the very bytes that were signed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from reports import dsse
from reports.bundle import read_envelope
from reports.bundle_files import BundleFiles, files_of, read_content
from reports.canonical import strict_json
from reports.consistency import inconsistencies
from reports.dsse import Envelope
from reports.errors import BundleError, ReportError
from reports.evidence import RENDERINGS, Fault, evidence_faults, withheld
from reports.model import Report
from reports.roles import require_roles, require_stamps, signing_warnings
from reports.signing_time import CLOCK_SKEW, SignaturesFound, dated, find_signatures
from reports.statement import Statement, require_canonical, require_schema, require_types, subject_digest
from reports.trust import Trust
from reports.verified import MatchedSubject, StepError, Verified

Renderings = Callable[[Report], Mapping[str, bytes]]
"""Renders a report again: name below `render/` to content. Raises nothing but ReportError."""


def verify(
    bundle_path: Path,
    trust: Trust,
    subjects: Sequence[Path],
    now: datetime,
    *,
    policy_sha256: str | None = None,
    all_faults: bool = False,
    signature_only: bool = False,
    renderings: Renderings | None = None,
) -> Verified:
    """Return the report of a bundle if it withstands every step.

    Args:
        bundle_path: folder of the bundle, or a zip of what is in it.
        trust: whom to believe.
        subjects: the files and folders that the report must be about; at least one.
        now: the time, with its offset.
        policy_sha256: digest of the policy that must have been fixed before the run, or None: step 15 is left out.
        all_faults: after step 14 go on, and list every fault that is left.
        signature_only: leave out steps 14 to 17: who signed what, and when, but not about which files.
        renderings: renders the report again, for step 17; None: it is left out.

    Raises:
        VerificationError: the code of the first refusal (a `StepError`, which knows the step); nothing else.
    """
    with _step(2):
        files = files_of(bundle_path)
        data = read_envelope(files)
    with _step(3):
        members = dsse.read_members(data)
    with _step(4):
        dsse.require_payload_type(members)
    with _step(5):
        envelope = dsse.decode(members)
    with _step(6):
        dsse.require_signature_count(members)
        found = _trusted_signatures(envelope, trust)
    with _step(7):
        value = strict_json(envelope.body)
    with _step(8):
        require_canonical(envelope.body, value)
    with _step(9):
        claim = require_types(value)
    with _step(10):
        statement = require_schema(envelope.body, claim)
    with _step(11):
        _require_consistency(statement.report)
    with _step(12):
        _require_fresh(statement.report, trust, now)
        signed = dated(found.signed, trust, statement.report.provenance.finished, now)
        require_stamps(signed, trust)
    with _step(13):
        signers = require_roles(statement.report.provenance.finished, signed, trust)
    warnings = tuple(signing_warnings(signed, found.strangers))
    verified = Verified(statement, signers, tuple(range(1, 14)), trust.sha256, warnings=warnings)
    if signature_only:
        return verified
    with _step(14):
        matched = _require_subjects(statement, subjects)
    rest: dict[int, Iterator[Fault]] = {}
    if policy_sha256 is not None:
        rest[15] = _policy(statement.report, policy_sha256)
    rest[16] = _evidence(files, statement.report, trust)
    if renderings is not None:
        rest[17] = _renderings(files, statement.report, renderings)
    _require_none(rest, all_faults)
    evidence = statement.report.evidence
    with _step(16):
        absent = withheld(files, evidence)
    return replace(
        verified,
        steps=(*verified.steps, 14, *rest),
        subjects=matched,
        evidence_files=len(evidence) - len(absent),
        evidence_bytes=sum(piece.size for piece in evidence) - sum(piece.size for piece in absent),
        withheld=tuple(piece.path for piece in absent),
    )


@contextmanager
def _step(number: int) -> Iterator[None]:
    """Turn what a step raises into its refusal: a disk that cannot be read is as good as a bundle that is broken."""
    try:
        yield
    except ReportError as error:
        raise StepError(error.code, error.message, error.hint, number) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise StepError("bundle.unreadable", f"{where}{error.strerror or error}", step=number) from error


def _trusted_signatures(envelope: Envelope, trust: Trust) -> SignaturesFound:
    """6: at least one signature is by a trusted key; the others neither help nor harm."""
    if not envelope.signatures:
        raise BundleError("signature.missing", "the report is not signed", "Sign it with `fedaudit sign`.")
    found = find_signatures(envelope, trust)
    if not found.signed:
        number = len(envelope.signatures)
        raise BundleError("signature.untrusted", f"none of the {number} signatures is by a key of the trust file")
    return found


def _require_consistency(report: Report) -> None:
    """11: the report does not contradict itself."""
    for sentence in inconsistencies(report):
        raise BundleError("report.inconsistent", sentence)


def _require_fresh(report: Report, trust: Trust, now: datetime) -> None:
    """12: finished, not in the future, not too long ago."""
    finished = report.provenance.finished
    if finished - now > CLOCK_SKEW:  # differences alone: a sum may leave the calendar
        raise BundleError("time.future", f"the report was finished on {finished:%Y-%m-%d %H:%M} UTC, which is to come")
    if trust.max_age_days is not None and (now - finished) / timedelta(days=1) > trust.max_age_days:
        age = (now - finished).days
        raise BundleError("time.expired", f"the report is {age} days old; the trust file allows {trust.max_age_days}")


def _require_subjects(statement: Statement, paths: Sequence[Path]) -> tuple[MatchedSubject, ...]:
    """14: each of the caller's files is a subject of the report, by its digest; at least one is given."""
    if not paths:
        raise BundleError("subject.not_given", "no subject was given", "Name your model: --subject model.safetensors.")
    names = {subject.digest.sha256: subject.name for subject in statement.subjects}
    matched = []
    for path in paths:
        try:
            sha256 = subject_digest(path)
        except (OSError, ReportError) as error:
            reason = error.strerror if isinstance(error, OSError) else error.message
            raise BundleError("subject.not_found", f"{path} cannot be read: {reason}", "Check --subject.") from error
        if sha256 not in names:
            about = ", ".join(f"{name} {digest[:12]}" for digest, name in names.items())
            raise BundleError("subject.mismatch", f"{path} ({sha256[:12]}) is not what the report is about: {about}")
        matched.append(MatchedSubject(str(path), sha256, names[sha256]))
    return tuple(matched)


def _policy(report: Report, policy_sha256: str) -> Iterator[Fault]:
    """15: the policy is the one whose digest was written into the report before the run."""
    committed = report.provenance.policy_sha256
    if committed != policy_sha256:
        found = f"committed to another policy, {committed[:12]}" if committed else "committed to no policy"
        yield Fault("policy.not_committed", f"the run was {found}; the policy given is {policy_sha256[:12]}")


def _evidence(files: BundleFiles, report: Report, trust: Trust) -> Iterator[Fault]:
    """16: every listed file is what was signed, nothing else lies there, what is withheld may be."""
    deny = not trust.withheld_allowed
    return evidence_faults(files, report.evidence, report.evidence_root, deny_withheld=deny)


def _renderings(files: BundleFiles, report: Report, render: Renderings) -> Iterator[Fault]:
    """17: the renderings are what this fedaudit makes of the report, byte for byte."""
    for name, expected in render(report).items():
        place = f"{RENDERINGS}/{name}"
        try:
            content = files.open(place)
            with content.file:
                same = content.size == len(expected) and read_content(content) == expected
        except BundleError as error:
            yield Fault("render.mismatch", error.message)
            continue
        if not same:
            yield Fault("render.mismatch", f"{place} is not what this version of fedaudit renders from the report")


def _require_none(rest: Mapping[int, Iterator[Fault]], all_faults: bool) -> None:
    """Refuse on the first fault, or, if all are asked for, with all of them once every step was taken."""
    found: list[tuple[int, Fault]] = []
    for number, faults in rest.items():
        with _step(number):
            for fault in faults:
                found.append((number, fault))
                if not all_faults:
                    break
        if found and not all_faults:
            break
    if found:
        step, first = found[0]
        raise StepError(first.code, first.message, "", step, tuple(fault for _, fault in found))
