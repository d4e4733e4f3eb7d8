"""`secagg.metadata`: whether something about one client travels in the clear, beside mask and ciphertext."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from reports.canonical import canonical_json
from reports.check import Context, check
from reports.model import Basis, Confidentiality, Finding, Remedy, Severity, Status, Strength, System
from secagg.checks.active import (
    CONFIDENTIALITY,
    FLOWER,
    TESTED,
    Code,
    code_of,
    flower_limits,
    has_flower,
    software,
)
from secagg.checks.transcript_answer import Judged, ask_transcripts, judge, told
from secagg.checks.transcript_codes import TRANSCRIPTS
from secagg.checks.transcript_question import Question
from secagg.checks.transcript_rounds import Recorded, Recording, section_of
from secagg.declaration import SECTION
from secagg.transcript import read_transcript
from secagg.verify import verify_sources

_CLIENTS, _LENGTH = 3, 64
_OWN_ADAPTER = Remedy(
    parameter="federation.secure_aggregation.protocol",
    direction="set",
    value="fedaudit-secagg",
    text="Keep weights under the mask and metrics at home, as secagg.flower.message does: fedaudit-secagg.",
)
_RECORDED = Question(sound="In {rounds} nothing about one client stands beside mask and ciphertext.")
_MEASURED = Question(sound="In a round of the installed Flower nothing about one client stands beside the mask.")


@check(
    "secagg.metadata",
    "Nothing about one client travels in the clear",
    needs=(SECTION, f"{TRANSCRIPTS}|{FLOWER}", f"{TRANSCRIPTS}|extra:flower"),
    controls=(CONFIDENTIALITY, "GDPR:25(1)", "GDPR:5(1)(c)", *TESTED),
    kinds=("secagg",),
    strength=Strength.EXACT,
    severity=Severity.MEDIUM,
)
def metadata(system: System, ctx: Context) -> Iterator[Finding]:
    """Look for weights, metrics and losses of single clients outside mask and ciphertext.

    One finding is on the declared transcripts; another, with the key `flower`, on a round of the installed Flower, run
    with made-up updates, where that is the framework or the protocol. Fails on `plaintext-metadata`; inconclusive on
    transcripts that are not authentic or end early, and when a planted number in the clear goes unnoticed
    (`control-failed`; in our own format, which has no place for one, as a malformed record). Skipped where neither is.
    """
    recorded = bool(section_of(system).transcripts)
    measured = code_of(system) is Code.FLOWER and has_flower()
    if recorded:
        yield ask_transcripts(_RECORDED, system, ctx)
    if measured:
        yield _flower(system, ctx)
    if not recorded and not measured:
        summary = "No transcript is declared, and the framework is not Flower, which could be tried out."
        yield ctx.finding(Status.SKIPPED, summary, severity=Severity.INFO, reason=f"missing:{TRANSCRIPTS}")


def _flower(system: System, ctx: Context) -> Finding:
    from secagg.flower.conformance import flower_client
    from secagg.flower.rehearsal import record_flower_run

    with tempfile.TemporaryDirectory() as folder:
        folders = record_flower_run(Path(folder), _CLIENTS, _LENGTH, num_shares=_CLIENTS, reconstruction_threshold=2)
        sources = tuple(Recording(read_transcript(one), "a round of the installed Flower") for one in folders)
        records = Recorded(sources, verify_sources(sources), None, None)
        judged = judge(_MEASURED, records, system, ctx)
    in_order = sorted(judged.found, key=lambda one: (one.violation.client or "", one.violation.detail))
    judged = replace(judged, found=tuple(in_order))  # Flower's server asks its clients in an order of chance
    return told(
        _MEASURED,
        judged,
        ctx,
        key="flower",
        basis=Basis.MEASURED,
        evidence=_evidence(judged, flower_client(), ctx),
        remedy=_OWN_ADAPTER if judged.found else None,
        limitations=flower_limits(flower_client()),
    )


def _evidence(judged: Judged, function: str, ctx: Context) -> str:
    """Keep what could be read; keys and sessions of the round are chance, and left out."""
    document = {
        "schema": "fedaudit.secagg.metadata/1",
        "software": software(),
        "function": function,
        "clients": _CLIENTS,
        "in_the_clear": [one.violation.as_fields() for one in judged.found],
    }
    data = canonical_json(document)
    return ctx.evidence("what Flower's clients say in the clear", data, "application/json", Confidentiality.INTERNAL)
