"""How long a reader waits: starting the command line, verifying, checking a signature, drawing the report.

Run `python tests/benchmarks/bench_reports.py [--json] [--repeats N]`. Cold figures are medians over fresh processes,
ours and the peer's by turns on the same machine, so that a loaded machine slows both; warm figures are medians in
this one. A peer that is not installed leaves its row without a ratio.
"""

import argparse
import hashlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from reports_pdf import paper
from reports_rows import Row, Sample, cold, fedaudit, table, warm

from reports.bundle import read_bundle
from reports.bundle_writer import BundleWriter
from reports.canonical import canonical
from reports.context import PLOT_MEDIA_TYPE
from reports.dsse import Envelope, sign
from reports.evidence import evidence_root
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
    fingerprint,
)
from reports.plot import IntervalRow, IntervalsPlot, RocPlot, RocSeries
from reports.render_html import render_html
from reports.renderings import bundle_view
from reports.statement import declared_subjects, make_statement

CLICK = "import click"
VERIFYING = "import cryptography.hazmat.primitives.asymmetric.ec, pydantic, click"
"""What any verifier in Python has to import; nothing is done with it."""
NOW = datetime(2026, 11, 21, tzinfo=UTC)
PLOTS, PIECES, PIECE_BYTES = 10, 10, 1_000_000


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


def sample(folder: Path, findings: int) -> Sample:
    """Write a signed bundle with ten plots and ten megabytes of evidence besides."""
    folder.mkdir()
    subject = folder / "model.safetensors"
    subject.write_bytes(os.urandom(1 << 20))
    digest = hashlib.sha256(subject.read_bytes()).hexdigest()
    source = Artifact(path="system.toml", sha256="0" * 64, size=1, kind="source")
    checkpoint = Artifact(path=subject.name, sha256=digest, size=1 << 20, kind="model.checkpoint")
    system = System.model_validate(
        {"name": "bench", "version": "1", "source": source, "model": {"checkpoint": checkpoint}}
    )
    key = generate()
    with BundleWriter(folder / "bundle") as writer:
        kept = [writer.put_evidence(plot, PLOT_MEDIA_TYPE, Confidentiality.INTERNAL, "plot") for plot in plots()]
        for number in range(PIECES):
            data = number.to_bytes(4) * (PIECE_BYTES // 4)
            writer.put_evidence(data, "application/octet-stream", Confidentiality.INTERNAL, f"piece {number}")
        statement = make_statement(report(system, findings, kept, writer.evidence), declared_subjects(system))
        bundle = writer.finish(statement.body, (sign(statement.body, key),))
    (folder / "auditor.pub").write_bytes(key.public.to_pem())
    (folder / "trust.toml").write_text(TRUST)
    envelope = (bundle / "report.dsse.json").read_bytes()
    return Sample(bundle, folder / "trust.toml", subject, statement, envelope, key)


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


def command_line(repeats: int) -> Row:
    """`fedaudit --help`, cold."""
    ours, peer = cold([fedaudit(), "--help"], [sys.executable, "-c", CLICK], repeats)
    met = ours <= 0.30 and ours <= 3 * peer
    return Row("fedaudit --help, cold", ours, "import click", peer, "<= 0.30 s and <= 3x", met)


def verifying(one: Sample, repeats: int) -> Row:
    """`fedaudit verify`, cold, 200 findings and ten megabytes of evidence."""
    words = ["verify", one.bundle, "--trust", one.trust, "--subject", one.subject, "--now", "2026-11-21T00:00:00Z"]
    ours, peer = cold([fedaudit(), *map(str, words)], [sys.executable, "-c", VERIFYING], repeats)
    met = ours <= 0.5 and ours <= 2 * peer
    target = "<= 0.5 s and <= 2x"
    return Row("verify, cold, 200 findings, 10 MB", ours, "import cryptography, pydantic, click", peer, target, met)


def signature(one: Sample, repeats: int) -> Row:
    """One signature over one envelope, warm: PAE and ECDSA, as both libraries do it."""
    envelope = Envelope("application/vnd.in-toto+json", one.statement.body, (sign(one.statement.body, one.key),))
    if not envelope.signed_by(one.key.public):
        raise SystemExit("our own signature does not verify")
    what, peer_name, target = "DSSE verify, warm", "securesystemslib", "<= 1x, 5 % noise"
    try:
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        from securesystemslib.dsse import Envelope as PeerEnvelope
        from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]  # public, not re-exported
    except ImportError as error:
        [ours] = warm(lambda: envelope.signed_by(one.key.public), repeats=repeats, times=200)
        return Row(what, ours, peer_name, None, target, False, f"not compared: {error}")
    theirs = PeerEnvelope.from_dict(json.loads(one.envelope))
    key = SSlibKey.from_crypto(load_pem_public_key(one.key.public.to_pem()), one.key.keyid)
    if not theirs.verify([key], 1):
        raise SystemExit("the peer does not accept our envelope")
    works = (lambda: envelope.signed_by(one.key.public), lambda: theirs.verify([key], 1))
    ours, peer = warm(*works, repeats=repeats, times=200)
    return Row(what, ours, peer_name, peer, target, ours <= 1.05 * peer)


def page(one: Sample, limit: float, repeats: int) -> Row:
    """The HTML page, warm."""
    bundle = read_bundle(one.bundle)
    [ours] = warm(lambda: render_html(bundle_view(bundle)), repeats=repeats)
    size = len(render_html(bundle_view(bundle)).encode())
    count = len(one.statement.report.findings)
    small = count > 200 or size <= 400_000
    target = f"<= {limit:g} s" + ("" if count > 200 else ", <= 400 kB")
    note = f"{size / 1000:.0f} kB"
    return Row(f"HTML, {count} findings, 10 plots, warm", ours, "", None, target, ours <= limit and small, note)


def page_cold(one: Sample, repeats: int) -> Row:
    """`fedaudit render`, cold."""
    target = str(one.bundle.parent / "report.html")
    words = [fedaudit(), "render", str(one.bundle), "--format", "html", "-o", target]
    remove = [sys.executable, "-c", f"import pathlib; pathlib.Path({target!r}).unlink()"]
    ours, _ = cold(words, remove, repeats)
    return Row("fedaudit render --format html, cold, 200", ours, "", None, "<= 1.2 s", ours <= 1.2)


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--repeats", type=int, default=5, help="runs behind each median")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small, large = sample(Path(folder, "200"), 200), sample(Path(folder, "1000"), 1000)
        rows = [
            command_line(arguments.repeats),
            verifying(small, arguments.repeats),
            signature(small, arguments.repeats),
            page(small, 0.3, arguments.repeats),
            page(large, 1.0, arguments.repeats),
            page_cold(small, arguments.repeats),
            *paper(small, arguments.repeats),
        ]
    if arguments.json:
        machine = {"python": platform.python_version(), "platform": platform.platform(), "load": os.getloadavg()}
        print(json.dumps({"machine": machine, "rows": [asdict(row) | {"ratio": row.ratio} for row in rows]}, indent=2))
    else:
        print(table(rows))
        print(f"Load of the machine over the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")


if __name__ == "__main__":
    main()
