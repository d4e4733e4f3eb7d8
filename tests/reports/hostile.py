"""Strings that try to be more than text, and a report in which every string is one of them. No test itself."""

import hashlib
from datetime import UTC, date, datetime

from hypothesis import strategies as st

from reports.model import (
    Artifact,
    Auditor,
    Basis,
    Claims,
    Confidentiality,
    ControlRow,
    DifferentialPrivacy,
    Document,
    ErasureRequest,
    Federation,
    Finding,
    Measurement,
    Model,
    Remedy,
    SecureAggregation,
    Severity,
    Status,
    Strength,
    System,
    Update,
    fingerprint,
)
from reports.nouns import Effort, printable
from reports.plot import (
    HeatPlot,
    HistogramPlot,
    HistogramSample,
    ImageRow,
    ImagesPlot,
    IntervalRow,
    IntervalsPlot,
    LinePlot,
    LineSeries,
    OperatingPoint,
    RocPlot,
    RocSeries,
)
from reports.png import PNG_MEDIA_TYPE
from reports.verdict import Judgement, Outcome, Verdict, WaiverState
from reports.view import Signer, View, view_of
from tests.reports.sample_plots import Shelves, digit
from tests.reports.sample_report import Sample, assemble
from tests.reports.sample_system import sample_provenance

FRAGMENTS = (
    "</script>", "<script>alert(1)</script>", "{{7*7}}", "{% raw %}", "]]>", "<!--", "-->", "#eval(1)", "|", "\\|", "`",
    "``", "\u202e", "\u2066", "\u200b", "</title>", "</style>", "'\"><img src=x onerror=alert(1)>", "&lt;", "&#60;",
    "# ", "- ", "1. ", "[a](http://e.org)", "![a](x)", "https://e.org", "www.e.org", "a@e.org", "@someone", "*b*",
    "__b__", "~~s~~", "<b>", ":tada:", "$x$", "---", "===", "\n", "\n\n", "\n# h", "\n    code", "\t", "]: x",
    "</details>", "javascript:x",
)  # fmt: skip


def _is_text(text: str) -> bool:
    try:
        return bool(printable(text).strip())
    except ValueError:
        return False


letters = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32), max_size=4)
hostile = (
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), letters), min_size=1, max_size=5).map("".join).filter(_is_text)
)  # fmt: skip
"""Any text that a report may hold, mostly such as means something to HTML, Markdown, a template or a reader's eye."""


def report_of(word: str) -> tuple[Sample, Verdict]:
    """Return a report and a verdict in which every free text is `word` (cut where a field is short)."""
    short = word[:40].strip() or "x"
    shelves = Shelves()
    png = shelves.put(digit(3), PNG_MEDIA_TYPE, Confidentiality.INTERNAL, short.replace("\n", " ").replace("\t", " "))
    plots = (
        ImagesPlot(title=short, score=short, rows=(ImageRow(label=short, true=png, score=0.5),)),
        HeatPlot(title=short, rows=(short,), columns=(short,), states=((Status.PASS,),)),
        LinePlot(title=short, x=short, y=short, series=(LineSeries(label=short, x=(1.0, 2.0), y=(1.0, 2.0)),)),
        IntervalsPlot(title=short, x=short, rows=(IntervalRow(label=short, value=0.5, low=0.1, high=0.9),)),
        HistogramPlot(title=short, x=short, edges=(0.0, 1.0), samples=(HistogramSample(label=short, counts=(1,)),)),
        RocPlot(
            title=short,
            series=(RocSeries(label=short, fpr=(0.1, 1.0), tpr=(0.2, 1.0)),),
            points=(OperatingPoint(label=short, fpr=0.1, tpr=0.2),),
        ),
    )
    cited = tuple(shelves.plot(plot, "a plot") for plot in plots)
    path = word.replace("/", "").replace("\\", "").strip(".") or "x"
    artifact = Artifact(path=path, sha256=hashlib.sha256(b"").hexdigest(), size=1, kind=short)

    def found(check: str, status: Status) -> Finding:
        return Finding(
            check=check, key=short, title=word, status=status, severity=Severity.HIGH, strength=Strength.EXACT,
            basis=Basis.MEASURED, summary=word, detail=word,
            measurements=(Measurement(name="rate", value=0.5, unit=word, method=word),), evidence=cited,
            controls=(short,), remedy=Remedy(parameter=word, direction="set", value=word, text=word),
            limitations=(word,), reason=word, fingerprint=fingerprint(short, check, short),
        )  # fmt: skip

    system = System(
        name=short, version=short, provider=short, intended_purpose=word, annex_iii_area=short, law_version=short,
        conditions=(short,), claims=Claims(unlearned=(short,)),
        federation=Federation(
            framework=short, aggregation=short,
            secure_aggregation=SecureAggregation(protocol=short, prg=short, beacon_source=short),
            differential_privacy=DifferentialPrivacy(accountant=short),
        ),
        model=Model(checkpoint=artifact, task=short),
        updates=(Update(path=artifact, kind="delta", client=short),),
        unlearning=(ErasureRequest(id=short, kind="client", method=short),),
        documents=(Document(path=artifact, kind=short),), source=artifact,
    )  # fmt: skip
    provenance = sample_provenance().model_copy(
        update={
            "auditor": Auditor(name=short, organisation=short), "tool_version": short, "only": (short,),
            "skip": (short,), "nonce": short, "python": short, "platform": short, "packages": {short: short},
            "effort": Effort.SMOKE,
        }
    )  # fmt: skip
    findings = [found("a.fail", Status.FAIL), found("a.skip", Status.SKIPPED), found("a.pass", Status.PASS)]
    row = ControlRow(
        control=short, title=word, role=short, law_version=short, applies_from=date(2026, 8, 2),
        applicability="applies", applicability_reason=word, ceiling="direct", state="insufficient", missing=(short,),
        next_step=word, findings=(findings[0].fingerprint,),
    )  # fmt: skip
    sample = assemble(findings, shelves, system, provenance=provenance, controls=(row,))
    judgement = Judgement(rule=short, check=short, key=short, outcome="fail", code=short, message=word)
    excused = judgement.model_copy(update={"outcome": Outcome.WAIVED, "waiver": short})
    verdict = Verdict(
        result="failed", system=short, policy_name=short, policy_sha256="0" * 64, judgements=(judgement, excused),
        waivers=(WaiverState(id=short, state="applied"),), today=datetime(2026, 11, 22, tzinfo=UTC).date(),
    )  # fmt: skip
    return sample, verdict


def view_of_word(word: str) -> View:
    """Return the view of the report in which every free text is `word`."""
    sample, verdict = report_of(word)
    signers = [Signer(word, word, word)]
    return view_of(sample.statement, lookup=sample.contents.get, signers=signers, verdict=verdict)
