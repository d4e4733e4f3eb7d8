"""What a reader says decides only where the reader was measured, tried in this run, and rests on nothing unpinned."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from compliance.aireg import shipped_dataset
from compliance.assessment import Assessment, assessment_bytes
from compliance.calibration import calibrate, calibration_bytes, reader_fingerprint
from compliance.checks.documents import documents
from compliance.checks.judge import judge
from compliance.errors import EndpointError
from compliance.judge_file import load_judge_file
from compliance.llm.cassette import Cassette
from compliance.llm.fake import FakeModel, serve
from compliance.llm.fake_judge import Asked, says, scripted
from compliance.llm.panel import MemberSettings
from compliance.reading import reading_of
from reports.check import Check, Context, Options
from reports.digests import file_sha256
from reports.model import Basis, Confidentiality, Document, Effort, Finding, Status, System
from tests.compliance.audited import Shelf, artifact, system
from tests.compliance.judge.reading_room import SENTENCE, TEXT, honest

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GAP, REASON = "The model's own words about a gap.", "The model's own reason."


@dataclass
class Room:
    """A folder with one document, a judge file and, if wanted, a calibration."""

    folder: Path
    base_url: str
    classification: str = "internal"
    kinds: Sequence[str] = ("judge", "calibration")
    options: Options = field(default_factory=Options)
    shelf: Shelf = field(default_factory=Shelf)

    def __post_init__(self) -> None:
        (self.folder / "td.md").write_text(TEXT, encoding="utf-8")
        (self.folder / "judge.toml").write_text(
            f'version = 1\n[[members]]\nname = "local"\nbase_url = "{self.base_url}"\nmodel = "fake"\n'
        )

    def calibrated(self, *, pinned: bool = True) -> "Room":
        """Put the calibration of a reader that reads as the experts do beside the judge file."""
        host = self.base_url.split("/")[2]
        found = calibrate(
            shipped_dataset(),
            {item.id: item.reference for item in shipped_dataset().items},
            on=NOW.date(),
            rng=np.random.default_rng(0),
            resamples=100,
            fingerprint=reader_fingerprint(MemberSettings("fake", host, 0.0, 1.0, 700, 7, 8000), {"fake"}, ()),
        )
        path = self.folder / "calibration.json"
        path.write_bytes(calibration_bytes(found))
        return replace(self, options=Options(pinned=(file_sha256(path),) if pinned else ()))

    def system(self) -> System:
        """Return what the system file declares."""
        named = {"judge": "judge.toml", "calibration": "calibration.json", "assessment": "assessment.json"}
        listed = [Document(path=artifact("td.md"), kind="technical-documentation", classification=self.classification)]  # type: ignore[arg-type]
        listed += [
            Document(path=artifact(named[kind]), kind=kind)
            for kind in self.kinds
            if (self.folder / named[kind]).exists()
        ]
        return system(documents=tuple(listed), placed_on_market=None)

    def context(self, check: Check) -> Context:
        """Return what a check is given."""
        return Context(
            check=check, system=self.system(), seed=7, effort=Effort.SMOKE, folder=self.folder, now=NOW,
            store=self.shelf, options=self.options,
        )  # fmt: skip

    def ask(self, check: Check) -> list[Finding]:
        """Return what a check answers."""
        return list(check.ask(self.system(), self.context(check)))

    def about(self, control: str) -> Finding:
        """Return the finding on one duty."""
        [found] = [one for one in self.ask(documents) if one.key == f"control={control}"]
        return found


def worded(asked: Asked) -> Mapping[str, object]:
    """Read honestly, leave a gap in one duty, contradict another, with words of its own."""
    said = {
        "EU-AIA:9(2)(a)": says("partially_supports", 2, [SENTENCE], [GAP]),
        "EU-AIA:9(5)": says("contradicts", 1, [SENTENCE], [GAP]),
        "EU-AIA:10(3)": says("insufficient_evidence", 2, gaps=[GAP]),
        "EU-AIA:14(1)": says("not_applicable", 3),
    }
    return {**said.get(asked.citation, honest(asked)), "reason": REASON}


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """A reader over real HTTP."""
    with serve(FakeModel(scripted(worded))) as server:
        yield server.base_url


@pytest.fixture
def room(tmp_path: Path, base_url: str) -> Room:
    return Room(tmp_path, base_url)


def test_a_measured_reader_that_was_tried_and_is_pinned_decides(room: Room) -> None:
    room = room.calibrated()
    found = {one.key: one for one in room.ask(documents)}
    assert len(found) == 33
    shown, gap, against = (found[f"control=EU-AIA:9{place}"] for place in ("(1)", "(2)(a)", "(5)"))
    assert (shown.status, shown.basis, shown.controls) == (Status.PASS, Basis.MEASURED, ("EU-AIA:9(1)",))
    assert SENTENCE.rstrip(".") in shown.detail
    assert (gap.status, gap.reason) == (Status.FAIL, "likely-gap")
    assert (against.status, against.reason) == (Status.FAIL, "contradicts")
    silent = found["control=EU-AIA:10(3)"]
    assert (silent.status, silent.summary) == (Status.INCONCLUSIVE, "The documents do not say.")
    assert (found["control=EU-AIA:14(1)"].status, found["control=EU-AIA:14(1)"].reason) == (
        Status.INCONCLUSIVE,
        "not-applicable",
    )
    assert all(one.strength == "document" for one in found.values())
    [reader] = room.ask(judge)
    assert (reader.status, reader.basis) == (Status.PASS, Basis.MEASURED)
    assert [one.name for one in reader.measurements] == ["reader_kappa", "reader_false_compliant"]


def test_no_word_of_the_model_stands_in_a_finding(room: Room) -> None:
    room = room.calibrated()
    told = json.dumps([one.model_dump(mode="json") for check in (documents, judge) for one in room.ask(check)])
    assert GAP not in told
    assert REASON not in told
    kept = b"".join(data for data, _ in room.shelf.kept.values())
    assert GAP.encode() in kept  # it stands in the evidence


def test_without_a_calibration_nothing_decides(room: Room) -> None:
    assert {one.status for one in room.ask(documents)} == {Status.INCONCLUSIVE}
    assert room.about("EU-AIA:9(5)").reason == "uncalibrated"
    [reader] = room.ask(judge)
    assert (reader.status, reader.reason) == (Status.INCONCLUSIVE, "uncalibrated")


def test_a_calibration_that_no_policy_pins_earns_no_pass(room: Room) -> None:
    room = room.calibrated(pinned=False)
    shown = room.about("EU-AIA:9(1)")
    assert (shown.status, shown.reason, shown.basis) == (Status.INCONCLUSIVE, "unpinned:calibration", Basis.DECLARED)
    assert room.about("EU-AIA:9(2)(a)").status is Status.FAIL
    assert room.ask(judge)[0].reason == "unpinned:calibration"


def test_words_of_a_confidential_document_stay_out_of_the_report(room: Room) -> None:
    room = replace(room.calibrated(), classification="confidential")
    shown = room.about("EU-AIA:9(1)")
    assert shown.status is Status.PASS
    assert "Risks" not in shown.model_dump_json()
    assert "characters" in shown.detail
    assert {level for _, level in room.shelf.kept.values()} == {Confidentiality.RESTRICTED}


def test_nobody_to_read_is_skipped_and_says_what_to_give(room: Room) -> None:
    room = replace(room, kinds=())
    [found] = room.ask(documents)
    assert found.status is Status.SKIPPED
    assert "name an endpoint or give an assessment" in found.summary
    assert room.ask(judge)[0].status is Status.SKIPPED


@pytest.fixture(scope="module")
def admitted(tmp_path_factory: pytest.TempPathFactory, base_url: str) -> Assessment:
    """What a measured reader said in another run."""
    room = Room(tmp_path_factory.mktemp("earlier"), base_url).calibrated()
    assessment = reading_of(room.system(), room.context(documents)).assessment
    assert assessment is not None
    return assessment


def handed_in(room: Room, assessment: Assessment, *, pinned: bool = True, **change: object) -> Room:
    """Put an assessment into the folder, as another run left it."""
    path = room.folder / "assessment.json"
    path.write_bytes(assessment_bytes(assessment.model_copy(update=change)))
    digests = (file_sha256(path),) if pinned else ()
    return replace(room, kinds=("judge", "calibration", "assessment"), options=Options(pinned=digests))


def test_an_assessment_that_was_handed_in_decides_only_if_it_is_pinned(room: Room, admitted: Assessment) -> None:
    for pinned, status, reason in ((True, Status.PASS, ""), (False, Status.INCONCLUSIVE, "unpinned:assessment")):
        given = handed_in(room, admitted, pinned=pinned)
        assert (given.about("EU-AIA:9(1)").status, given.about("EU-AIA:9(1)").reason) == (status, reason)
        assert given.about("EU-AIA:9(5)").status is Status.FAIL  # a contradiction stands whoever hands it in
        [reader] = given.ask(judge)
        assert (reader.status, reader.reason) == (status, reason)


@pytest.mark.parametrize("state", ["not_admitted", "expired", "mismatch", "uncalibrated"])
def test_a_reader_that_is_not_admitted_decides_nothing_though_no_answer_is_flagged(
    room: Room, admitted: Assessment, state: str
) -> None:
    assert admitted.judge is not None
    given = handed_in(room, admitted, judge=admitted.judge.model_copy(update={"state": state}))
    expected = (Status.INCONCLUSIVE, state.replace("_", "-"))
    for control in ("EU-AIA:9(1)", "EU-AIA:9(2)(a)", "EU-AIA:9(5)"):
        assert (given.about(control).status, given.about(control).reason) == expected
    [reader] = given.ask(judge)
    assert (reader.status, reader.reason) == expected


def test_one_document_against_a_duty_outweighs_one_for_it(room: Room, admitted: Assessment) -> None:
    [line] = [one for one in admitted.assessments if one.control == "EU-AIA:9(1)"]
    against = line.model_copy(
        update={"document": "other.md", "answer": "contradicts", "band": "likely_gap", "score": 1}
    )
    for lines in ((line, against), (against, line)):
        found = handed_in(room, admitted, assessments=lines).about("EU-AIA:9(1)")
        assert (found.status, found.reason) == (Status.FAIL, "contradicts")


def test_the_auditor_s_judge_is_asked_before_an_assessment_is_believed(room: Room, admitted: Assessment) -> None:
    given = handed_in(room, admitted)
    assert reading_of(given.system(), given.context(documents)).judge_file is None
    asked = replace(given, options=Options(judge=room.folder / "judge.toml", pinned=given.options.pinned))
    assert reading_of(asked.system(), asked.context(documents)).judge_file is not None


def test_recorded_answers_earn_a_pass_only_where_their_root_is_pinned(room: Room) -> None:
    room = room.calibrated()
    path = room.folder / "judge.toml"
    plain = path.read_text()
    for mode, pinned, reason in (
        ("record", False, ""),  # asked here and now
        ("replay", False, "unpinned:cassette"),
        ("replay", True, ""),
        ("auto", False, "unpinned:cassette"),
        ("auto", True, ""),
    ):
        roots = (Cassette(room.folder / "tape", "replay").root(),) if pinned else ()
        given = replace(room, options=Options(pinned=(*room.options.pinned, *roots)), shelf=Shelf())
        path.write_text(
            f'cassette = "tape"\ncassette_mode = "{mode}"\n{plain}'
        )  # after: a room lays its files out anew
        found = given.about("EU-AIA:9(1)")
        assert (found.status, found.reason) == (Status.INCONCLUSIVE if reason else Status.PASS, reason), mode
        assert given.ask(judge)[0].reason == reason


def test_an_assessment_of_other_documents_decides_nothing(room: Room, admitted: Assessment) -> None:
    given = handed_in(room, admitted)
    (given.folder / "td.md").write_text(TEXT + "\nOne more line.\n", encoding="utf-8")
    assert {(one.status, one.reason) for one in given.ask(documents)} == {(Status.INCONCLUSIVE, "stale")}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "withheld", "answer": None, "score": None}, "withheld"),
        ({"status": "not_asked", "answer": None, "score": None}, "not-asked"),
        ({"status": "invalid_output", "answer": None, "score": None}, "invalid-output"),
        ({"band": "unclear"}, "unclear"),
        ({"flags": ("control_failed",)}, "control-failed"),
        ({"flags": ("unstable",)}, "unstable"),
        ({"flags": ("uncalibrated",)}, "uncalibrated"),
        ({"flags": ("fence", "pdf")}, "pdf"),
    ],
)
def test_whatever_stands_in_the_way_of_an_answer_keeps_it_from_deciding(
    room: Room, admitted: Assessment, change: Mapping[str, object], reason: str
) -> None:
    lines = tuple(one.model_copy(update=change) for one in admitted.assessments)
    shown = handed_in(room, admitted, assessments=lines).about("EU-AIA:9(1)")
    assert (shown.status, shown.reason) == (Status.INCONCLUSIVE, reason)


@pytest.mark.parametrize(
    ("planted", "status"),
    [("kept", Status.PASS), ("none", Status.INCONCLUSIVE), ("failed", Status.INCONCLUSIVE)],
)
def test_a_reader_that_was_not_tried_or_failed_is_not_believed(
    room: Room, admitted: Assessment, planted: str, status: Status
) -> None:
    found = {
        "kept": admitted.planted,
        "none": (),
        "failed": tuple(one.model_copy(update={"ok": False}) for one in admitted.planted),
    }[planted]
    [reader] = handed_in(room, admitted, planted=found).ask(judge)
    assert reader.status is status
    assert reader.reason == ("" if status is Status.PASS else "control-failed")


def test_an_endpoint_that_is_gone_leaves_every_duty_open(room: Room) -> None:
    path = room.folder / "judge.toml"
    text = path.read_text().replace(room.base_url, "http://127.0.0.1:1/v1")
    path.write_text(f"{text}max_retries = 0\n")
    assert load_judge_file(path).members[0].max_retries == 0
    assert {one.reason for one in room.ask(documents)} == {"not-asked"}
    [reader] = room.ask(judge)
    assert reader.status is Status.INCONCLUSIVE
    assert reader.reason == EndpointError("endpoint.connection", "").code


def test_what_was_read_is_read_once_for_all_checks(room: Room) -> None:
    context = room.context(documents)
    first = reading_of(room.system(), context)
    assert reading_of(room.system(), replace(context, check=judge)) is first
