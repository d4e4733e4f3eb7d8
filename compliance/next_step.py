"""Who does what to close a row of the controls table, in words.

The person of the duty's role acts on the system; the auditor acts on what the audit left open.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from compliance.catalogue import Control
from reports.model import Finding, Status

PERSON: Mapping[str, str] = {
    "provider": "the provider",
    "deployer": "the deployer",
    "importer": "the importer",
    "distributor": "the distributor",
    "gpai-provider": "the provider of the general-purpose model",
    "controller": "the controller",
    "processor": "the processor",
}
"""Role of a duty to the person who must act."""

_EVIDENCE: Mapping[str, str] = {
    "reconstruction": "gives updates with planted truth ([[updates]]), and the auditor asks attack.*",
    "membership": "gives records of members and of non-members ([[data]]), and the auditor asks attack.membership",
    "robustness": "describes the federation ([federation]), and the auditor asks attack.poisoning",
    "dp": "records the rounds and their noise ([federation.differential_privacy]), and the auditor asks dp.*",
    "secagg": "records transcripts ([federation.secure_aggregation]), and the auditor asks secagg.*",
    "unlearning": "names the erasure requests with both models ([[unlearning]]), and the auditor asks unlearning.*",
    "accuracy": "gives the model and held-out records ([[data]]), and the auditor asks integrity.accuracy",
    "signature": "states the digests of all files ([digests]), and the auditor asks integrity.artifacts",
    "thresholds": "registers thresholds.toml before the run, and the auditor asks compliance.thresholds",
    "document": "lists the document that shows this ([[documents]]), and the auditor names a reader (--judge)",
    "log": "shows the logs to a person, since no check reads logs",
    "energy": "shows the measured energy to a person, since no check reads it",
    "attestation": "vouches for it in writing, by a named person",
}
"""Kind of evidence to what the person does to bring it."""


class Standing(NamedTuple):
    """What a row comes to, as far as the next step hangs on it."""

    state: str
    """What the findings say."""
    missing: Sequence[str]
    """Kinds of evidence that no finding brings."""
    declared: Sequence[str]
    """Those of them for which there is the owner's word, or a document."""
    findings: Sequence[Finding]
    """Those that bear on the duty."""
    stale: bool
    """Whether a pass among them is about another model."""


def next_step(control: Control, applicability: str, standing: Standing) -> str:
    """Return who does what to close a row; `applicability` is the state of the duty for this system."""
    person = PERSON.get(control.role, f"the {control.role}")
    person = person[:1].upper() + person[1:]
    step = _for_state(person, control, standing)
    if standing.state != "contradicted" and applicability == "repealed":
        return "Nobody has to act: the duty was repealed."
    if standing.state != "contradicted" and applicability == "not_addressed":
        return "Nobody has to act: the duty is not addressed to this system as it is declared."
    if applicability == "condition_unknown" and control.condition is not None:
        word = control.condition
        return f"{person} declares {word!r} or 'no-{word}' in [system] conditions. {step}"
    return step


def _for_state(person: str, control: Control, standing: Standing) -> str:
    state, findings = standing.state, standing.findings
    if control.ceiling == "attestation":
        return f"{person} vouches for it in writing, by a named person; no test can show it."
    if state == "contradicted":
        failed = _named(findings, Status.FAIL)
        if mend := _mend(findings, Status.FAIL):
            return f"{person} mends what failed ({failed}): {mend} Then the auditor asks again."
        return f"{person} mends what failed ({failed}), and the auditor asks again."
    if standing.stale and state == "insufficient":
        return f"{person} has the erasure verified on the model under review; the evidence is of another."
    if state == "insufficient" and (left := _named(findings, Status.INCONCLUSIVE, Status.ERROR)):
        if mend := _mend(findings, Status.INCONCLUSIVE):
            return f"{person} gives what was lacking ({left}): {mend} Then the auditor asks again."
        return f"The auditor asks again what stayed undecided ({left})."
    steps = [
        _EVIDENCE.get(kind, f"brings evidence of the kind {kind}")
        for kind in standing.missing
        if kind not in standing.declared
    ]
    if standing.declared:
        steps.append(f"gives more than a declaration or a document for {', '.join(standing.declared)}")
    if steps:
        return f"{person} {'; '.join(steps)}."
    rest = "" if control.ceiling == "direct" else f" A person judges the rest: tests carry {control.ceiling} at most."
    return f"{person} keeps this evidence, and has it taken again when the system changes.{rest}"


def _mend(findings: Iterable[Finding], status: Status) -> str:
    """Return what the remedy of the gravest finding of a status says; empty where none has one."""
    mends = [one for one in findings if one.status is status and one.remedy is not None]
    gravest = max(mends, key=lambda one: one.severity.rank, default=None)
    return gravest.remedy.text if gravest is not None and gravest.remedy is not None else ""


def _named(findings: Iterable[Finding], *statuses: Status) -> str:
    """Return the checks of the findings that have one of the statuses, each once and no more than four."""
    checks = list(dict.fromkeys(one.check for one in findings if one.status in statuses))
    return ", ".join(checks[:4]) + (f" and {len(checks) - 4} more" if len(checks) > 4 else "")
