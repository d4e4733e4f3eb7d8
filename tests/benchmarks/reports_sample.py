"""The bundles that the benchmark of reports is taken on: findings of ordinary size, plots, evidence of any size."""

import hashlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from reports_rows import Sample

from reports.canonical import canonical
from reports.context import PLOT_MEDIA_TYPE
from reports.dsse import PAYLOAD_TYPE, Envelope, sign
from reports.evidence import ENVELOPE, FOLDER, evidence_root, suffix_of
from reports.keys import generate
from reports.model import (
    Artifact,
    Basis,
    Confidentiality,
    Effort,
    Evidence,
    Finding,
    Interval,
    Measurement,
    Provenance,
    Remedy,
    Report,
    Severity,
    Status,
    Strength,
    System,
    Threshold,
    evidence_path,
    fingerprint,
)
from reports.plot import IntervalRow, IntervalsPlot, RocPlot, RocSeries
from reports.statement import declared_subjects, make_statement

NOW = datetime(2026, 11, 21, tzinfo=UTC)
PLOTS, PIECES, PIECE_BYTES = 10, 10, 1_000_000

TRUST = """
version = 1
[require]
auditor = 1
[[keys]]
name = "A. Auditor"
role = "auditor"
public_key = "auditor.pub"
not_before = 2026-01-01T00:00:00Z
not_after = 2027-01-01T00:00:00Z
"""


def finding(number: int, evidence: str) -> Finding:
    """Return a finding of ordinary size: from none to three measurements, as reports have them."""
    check = f"attack.kind-{number % 40}"
    key = f"client={number}"
    return Finding(
        check=check,
        key=key,
        title="No record can be read off a linear layer",
        status=(Status.PASS, Status.FAIL, Status.INCONCLUSIVE)[number % 3],
        severity=(Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW)[number % 4],
        strength=Strength.SCREENING,
        basis=Basis.MEASURED,
        summary=f"{number} of 1000 planted records were named, by chance 2; unprotected, 1000 of 1000.",
        measurements=tuple(
            Measurement(
                name=name,
                value=number / 1e5,
                interval=Interval(low=0, high=0.5, confidence=0.95),
                n=1000,
                method="share of trials; one-sided Clopper-Pearson bounds, 95 % each",
                threshold=Threshold(op="<=", limit=0.9),
                control=1,
            )
            for name in ("identifiability", "reconstruction_rate", "chance")[: number % 4]
        ),
        evidence=(evidence,),
        controls=("EU-AIA:15(5)#confidentiality", "GDPR:32(1)(d)"),
        remedy=Remedy(parameter="federation.batch_size", direction="raise", value="64", text="Sum more clients."),
        limitations=("Truth is planted, not drawn from the clients' own records.",),
        fingerprint=fingerprint("bench", check, key),
    )


def plots() -> list[bytes]:
    """Return plots as evidence: intervals and characteristics of 200 points by turns."""
    rates = [i / 200 for i in range(1, 201)]
    drawn: list[bytes] = []
    for number in range(PLOTS):
        title = f"Figure {number}"
        if number % 2:
            series = RocSeries(label="loss", fpr=tuple(rates), tpr=tuple(rate**0.5 for rate in rates))
            drawn.append(canonical(RocPlot(title=title, series=(series,))))
        else:
            rows = [IntervalRow(label=f"round {i}", value=i, low=i - 1, high=i + 1, limit=9) for i in range(20)]
            drawn.append(canonical(IntervalsPlot(title=title, rows=tuple(rows))))
    return drawn


def sample(folder: Path, findings: int, *, pieces: int = PIECES, size: int = PIECE_BYTES) -> Sample:
    """Write a signed bundle with ten plots and so many pieces of evidence of `size` bytes besides.

    Not by the writer of bundles, which waits for the disk at each of them.
    """
    folder.mkdir()
    subject = folder / "model.safetensors"
    subject.write_bytes(os.urandom(1 << 20))
    digest = hashlib.sha256(subject.read_bytes()).hexdigest()
    source = Artifact(path="system.toml", sha256="0" * 64, size=1, kind="source")
    checkpoint = Artifact(path=subject.name, sha256=digest, size=1 << 20, kind="model.checkpoint")
    system = System.model_validate(
        {"name": "bench", "version": "1", "source": source, "model": {"checkpoint": checkpoint}}
    )
    key, bundle = generate(), folder / "bundle"
    kept = [_put(bundle, [plot], PLOT_MEDIA_TYPE, "plot") for plot in plots()]
    more = [_put(bundle, _content(i, size), "application/octet-stream", f"piece {i}") for i in range(pieces)]
    evidence = sorted((*kept, *more), key=lambda piece: piece.sha256)
    statement = make_statement(report(system, findings, kept, evidence), declared_subjects(system))
    envelope = Envelope(PAYLOAD_TYPE, statement.body, (sign(statement.body, key),)).to_bytes()
    (bundle / ENVELOPE).write_bytes(envelope)
    (folder / "auditor.pub").write_bytes(key.public.to_pem())
    (folder / "trust.toml").write_text(TRUST)
    return Sample(bundle, folder / "trust.toml", subject, statement, envelope, key)


def _content(number: int, size: int) -> list[bytes]:
    """Return content in blocks of at most a mebibyte, all of them one: a large file is never in memory."""
    block = number.to_bytes(8) * (min(size, 1 << 20) // 8)
    return [block] * (size // len(block))


def _put(bundle: Path, content: Sequence[bytes], media_type: str, name: str) -> Evidence:
    digest = hashlib.sha256()
    for block in content:
        digest.update(block)
    sha256 = digest.hexdigest()
    path = evidence_path(sha256, suffix_of(media_type))
    place = bundle / FOLDER / path
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("wb") as file:
        file.writelines(content)
    return Evidence(
        sha256=sha256,
        path=path,
        size=sum(map(len, content)),
        media_type=media_type,
        confidentiality=Confidentiality.INTERNAL,
        name=name,
    )


def report(system: System, findings: int, kept: Sequence[Evidence], evidence: Sequence[Evidence]) -> Report:
    """Return a report whose first findings carry the plots."""
    found = [finding(number, kept[number % len(kept)].sha256) for number in range(findings)]
    late = [one.model_copy(update={"evidence": ()}) for one in found[len(kept) :]]
    provenance = Provenance(
        tool_version="0", root_seed=7, seed_source="chosen", effort=Effort.STANDARD, python="3", platform="x",
        threads=1, packages={}, started=NOW, finished=NOW,
    )  # fmt: skip
    return Report(
        system=system,
        findings=tuple(sorted((*found[: len(kept)], *late), key=lambda one: (one.check, one.key))),
        evidence=tuple(evidence),
        evidence_root=evidence_root(evidence),
        provenance=provenance,
    )
