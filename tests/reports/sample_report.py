"""A report as a careless federation would get it: every status, every kind of plot. No test itself."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reports.evidence import evidence_root
from reports.model import (
    Basis,
    Confidentiality,
    Finding,
    Interval,
    Measurement,
    Remedy,
    Report,
    Severity,
    Status,
    Strength,
    System,
    Threshold,
    fingerprint,
)
from reports.plot import IntervalRow, IntervalsPlot
from reports.statement import Statement, declared_subjects, make_statement
from tests.reports.sample_plots import Shelves, heat_plot, histogram_plot, images_plot, line_plot, roc_plot
from tests.reports.sample_system import SYSTEM_NAME, sample_provenance, sample_system


def finding(check: str, title: str, status: Status, summary: str, **attributes: Any) -> Finding:
    """Return a finding of the sample system; medium, statistical and measured unless said otherwise."""
    given: dict[str, Any] = {
        "severity": Severity.MEDIUM,
        "strength": Strength.STATISTICAL,
        "basis": Basis.MEASURED,
        "fingerprint": fingerprint(SYSTEM_NAME, check, attributes.get("key", "")),
        **attributes,
    }
    return Finding(check=check, title=title, status=status, summary=summary, **given)


def skipped(check: str, title: str, reason: str, summary: str) -> Finding:
    """Return a finding that says why a check was not asked."""
    return finding(check, title, Status.SKIPPED, summary, severity=Severity.INFO, reason=reason)


def findings(shelves: Shelves) -> list[Finding]:
    """Return the findings, unsorted."""
    images = images_plot(shelves)
    cited = [digest for row in images.rows for digest in (row.true, row.reconstructed, row.control) if digest]
    intervals = IntervalsPlot(
        title="Share of records that were read back",
        x="share of planted records",
        rows=(
            IntervalRow(label="batch of 1", value=1.0, low=0.9404, high=1.0, limit=0.05, control=1.0),
            IntervalRow(label="batch of 4", value=0.4167, low=0.2907, high=0.5512, limit=0.05, control=0.45),
            IntervalRow(label="batch of 16", value=0.0333, low=0.0041, high=0.1153, limit=0.05, control=0.35),
        ),
    )
    recovered = Measurement(
        name="reconstruction_rate",
        value=1.0,
        interval=Interval(low=0.9404, high=1.0, confidence=0.95),
        n=60,
        method="Clopper-Pearson 1934",
        threshold=Threshold(op="<=", limit=0.05),
        control=1.0,
    )
    epsilon = Measurement(
        name="epsilon_accounted",
        value=41.73,
        unit="nats",
        method="PRV accountant (Gopi et al. 2021), delta 1e-5",
        threshold=Threshold(op="<=", limit=3.0),
    )
    leak = "EU-AIA:15(5)#confidentiality"
    return [
        finding(
            "attack.linear",
            "No record leaks from the first linear layer",
            Status.FAIL,
            "60 of 60 planted records were read back from single updates, to the last pixel; unprotected, 60 of 60.",
            severity=Severity.CRITICAL,
            measurements=(
                recovered,
                Measurement(
                    name="identifiability",
                    value=0.983,
                    interval=Interval(low=0.9106, high=0.9996, confidence=0.95),
                    n=60,
                    method="Nearest of 1,797 candidates",
                    control=0.983,
                ),
            ),
            evidence=(
                shelves.plot(images, "attack.linear images"),
                shelves.plot(intervals, "attack.linear intervals"),
                *cited,
            ),
            controls=(leak, "GDPR:32(1)(a)"),
            remedy=Remedy(
                parameter="federation.visibility",
                direction="set",
                value="aggregate",
                text="Let the server see sums alone: enable secure aggregation with a sound threshold.",
            ),
            limitations=(
                "One record per update; larger batches are asked about at effort full.",
                "Planted canary records stand for people's records of the same kind.",
            ),
        ),
        finding(
            "attack.labels",
            "Labels of a batch cannot be read from an update",
            Status.FAIL,
            "All 60 labels were read from the bias gradient of the last layer.",
            severity=Severity.HIGH,
            measurements=(recovered.model_copy(update={"name": "label_recovery_rate"}),),
            controls=(leak,),
            evidence=(shelves.plot(histogram_plot(), "attack.labels histogram"),),
            limitations=("Planted canary records stand for people's records of the same kind.",),
        ),
        finding(
            "dp.accounting",
            "The claimed epsilon is at least the one that the mechanism gives",
            Status.FAIL,
            "The declared mechanism gives epsilon 41.73 at delta 1e-5; 3 is claimed.",
            severity=Severity.HIGH,
            strength=Strength.EXACT,
            basis=Basis.DECLARED,
            measurements=(epsilon,),
            controls=("EU-AIA:15(5)", "EU-AIA:annex-IV(2)(g)"),
            evidence=(shelves.plot(line_plot(), "dp.accounting line"),),
            remedy=Remedy(
                parameter="federation.differential_privacy.noise_multiplier",
                direction="raise",
                value="4.1",
                text="Raise the noise multiplier to 4.1, or claim an epsilon of 41.8.",
            ),
        ),
        finding(
            "secagg.parameters",
            "Colluding clients and the server cannot unmask an update, except with negligible probability",
            Status.FAIL,
            "With threshold 2 of 10, three colluding clients rebuild any mask: correctness 1, security 2^-3.",
            severity=Severity.HIGH,
            strength=Strength.EXACT,
            basis=Basis.DECLARED,
            controls=(leak,),
            remedy=Remedy(
                parameter="federation.secure_aggregation.threshold",
                direction="raise",
                value="7",
                text="Raise the reconstruction threshold to 7.",
            ),
        ),
        finding(
            "attack.membership",
            "Members cannot be told from non-members",
            Status.INCONCLUSIVE,
            "The positive control did not succeed, so nothing can be said: 120 members are too few.",
            severity=Severity.HIGH,
            reason="control-failed",
            measurements=(
                Measurement(
                    name="tpr_at_fpr_0.001",
                    value=0.0017,
                    interval=Interval(low=0.0002, high=0.0061, confidence=0.95),
                    n=120,
                    method="LiRA, 16 shadow models",
                    threshold=Threshold(op="<=", limit=0.01),
                    control=0.0083,
                ),
            ),
            evidence=(shelves.plot(roc_plot(), "attack.membership roc"),),
            controls=(leak,),
        ),
        finding(
            "compliance.documents",
            "The documents answer what Annex IV asks for",
            Status.ERROR,
            "The check broke: the reader's answers could not be replayed (KeyError).",
            reason="exception:KeyError",
            controls=("EU-AIA:annex-IV(1)(c)", "EU-AIA:11(1)"),
        ),
        finding(
            "integrity.artifacts",
            "Every file is what its owner says it is",
            Status.PASS,
            "All 64 files have the digests that the system file expects.",
            severity=Severity.HIGH,
            strength=Strength.EXACT,
            basis=Basis.RECORDED,
            controls=("EU-AIA:12(1)",),
            evidence=(shelves.put(b'{"files":64}', "application/json", Confidentiality.PUBLIC, "digest list"),),
        ),
        finding(
            "integrity.accuracy",
            "The model is as accurate as claimed",
            Status.PASS,
            "912 of 1,000 held-out records are classified rightly; 0.88 is claimed.",
            severity=Severity.LOW,
            measurements=(
                Measurement(
                    name="accuracy",
                    value=0.912,
                    interval=Interval(low=0.8927, high=0.9288, confidence=0.95),
                    n=1000,
                    method="Clopper-Pearson 1934",
                    threshold=Threshold(op=">=", limit=0.88),
                    control=0.1,
                ),
            ),
            controls=("EU-AIA:15(3)",),
            evidence=(shelves.plot(heat_plot(), "integrity.accuracy heat"),),
        ),
        finding(
            "secagg.quantization",
            "No sum overflows the ring",
            Status.PASS,
            "The largest possible sum needs 22 bits of 24.",
            strength=Strength.EXACT,
            basis=Basis.DECLARED,
        ),
        *unasked(),
    ]


def unasked() -> Iterable[Finding]:
    """Yield findings that say why a check was not asked."""
    transcript = "It needs a recorded round; system.toml names no transcript."
    for check, title in (
        ("secagg.transcript", "The recorded round followed the protocol"),
        ("secagg.double-reveal", "No client revealed both secrets"),
        ("secagg.graph", "The graph of neighbours is as declared"),
        ("secagg.cohort", "Cohorts are large enough"),
    ):
        yield skipped(check, title, "missing:federation.secure_aggregation.transcripts", transcript)
    yield skipped(
        "attack.inversion",
        "No record can be rebuilt by gradient matching",
        "budget",
        "Gradient matching needs effort standard; this run was asked for smoke.",
    )
    unlearning = "No erasure request is declared, so there is nothing to verify."
    yield skipped("unlearning.federated.request", "The request is complete", "missing:unlearning", unlearning)
    yield skipped("unlearning.federated.residual", "Nothing of the client remains", "missing:unlearning", unlearning)
    yield skipped(
        "unlearning.llm.forget",
        "The language model has forgotten",
        "extra:llm",
        "Needs the extra [llm]: pip install 'fedaudit[llm]'.",
    )


@dataclass(frozen=True)
class Sample:
    """A statement and the evidence that it cites."""

    statement: Statement
    contents: Mapping[str, bytes]

    @property
    def report(self) -> Report:
        return self.statement.report


def assemble(found: Iterable[Finding], shelves: Shelves, system: System | None = None, **attributes: Any) -> Sample:
    """Return a sample of these findings and this evidence."""
    evidence = tuple(piece for _, piece in sorted(shelves.pieces.items()))
    report = Report(
        system=system or sample_system(),
        findings=tuple(sorted(found, key=lambda one: (one.check, one.key))),
        evidence=evidence,
        evidence_root=evidence_root(evidence),
        provenance=attributes.pop("provenance", None) or sample_provenance(),
        **attributes,
    )
    return Sample(make_statement(report, declared_subjects(report.system)), shelves.contents)


def sample() -> Sample:
    """Return the careless report."""
    shelves = Shelves()
    return assemble(findings(shelves), shelves)
