"""`compliance.thresholds` and the file that it reads."""

import hashlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.checks.thresholds import thresholds
from compliance.errors import JudgeFileError
from compliance.thresholds import Promise, Thresholds, outcomes, read_thresholds
from reports.context import Options
from reports.model import Basis, Document, Finding, Interval, Measurement, Status, Strength
from tests.compliance.audited import artifact, ask, finding, system
from tests.reports.authority import TSA
from tests.reports.conformance.timestamp_cases import OTHER

FILE = """version = 1
registered_on = 2027-05-01
registered_by = "A. Example, head of ML"
[[threshold]]
check = "attack.membership"
measurement = "tpr_at_fpr_0.001"
op = "<="
limit = 0.01
confidence = 0.95
min_n = 1000
why = "ten times the false-positive rate"
"""
DOCUMENT = Document(path=artifact("thresholds.toml", "documents.path"), kind="thresholds")


def measured(low: float, high: float, *, n: int | None = 2000, confidence: float = 0.95) -> Measurement:
    interval = Interval(low=low, high=high, confidence=confidence)
    return Measurement(name="tpr_at_fpr_0.001", value=(low + high) / 2, interval=interval, n=n, method="LiRA")


def membership(figure: Measurement, status: Status = Status.PASS) -> Finding:
    return finding("attack.membership", status, measurements=(figure,))


def answer(
    folder: Path, found: list[Finding], text: str = FILE, options: Options | None = None, **given: object
) -> Finding:
    (folder / "thresholds.toml").write_text(text, encoding="utf-8")
    declared = system(documents=(DOCUMENT,), **{"placed_on_market": date(2028, 1, 1), **given})
    [result] = ask(thresholds, declared, folder, found, now=datetime(2027, 6, 1, 9, tzinfo=UTC), options=options)
    return result


def test_a_promise_that_is_kept_passes_on_the_owner_s_word(tmp_path: Path) -> None:
    found = answer(tmp_path, [membership(measured(0.001, 0.009))])
    assert (found.status, found.strength, found.basis) == (Status.PASS, Strength.DOCUMENT, Basis.DECLARED)
    assert found.limitations == ("The date of registration is the owner's word: no valid time stamp proves it.",)
    assert found.controls == ("EU-AIA:9(8)", "EU-AIA:17(1)(d)")
    [figure] = found.measurements
    assert figure.threshold is not None
    assert (figure.threshold.op, figure.threshold.limit) == ("<=", 0.01)


@pytest.mark.parametrize(
    ("found", "status", "reason"),
    [
        ([membership(measured(0.02, 0.04))], Status.FAIL, ""),  # broken: the whole interval is beyond
        ([membership(measured(0.005, 0.02))], Status.INCONCLUSIVE, "undecided"),
        ([membership(measured(0.001, 0.009, n=999))], Status.INCONCLUSIVE, "too-few-trials"),
        ([membership(measured(0.001, 0.009, n=None))], Status.INCONCLUSIVE, "too-few-trials"),
        ([membership(measured(0.001, 0.009, confidence=0.9))], Status.INCONCLUSIVE, "low-confidence"),
        ([], Status.INCONCLUSIVE, "not-measured"),
        ([finding("attack.membership")], Status.INCONCLUSIVE, "not-measured"),
        ([membership(measured(0.001, 0.009), Status.INCONCLUSIVE)], Status.INCONCLUSIVE, "not-decided"),
        ([membership(measured(0.001, 0.009), Status.SKIPPED)], Status.INCONCLUSIVE, "not-measured"),
        ([membership(measured(0.001, 0.009), Status.FAIL)], Status.PASS, ""),  # it failed another limit than this
    ],
)
def test_a_promise_is_kept_or_broken_by_a_whole_interval_of_what_was_promised(
    tmp_path: Path, found: list[Finding], status: Status, reason: str
) -> None:
    result = answer(tmp_path, found)
    assert (result.status, result.reason) == (status, reason)
    assert (result.remedy is None) == (status is Status.PASS)


def test_an_estimate_without_an_interval_keeps_no_promise_and_an_exact_figure_needs_none(tmp_path: Path) -> None:
    bare = membership(measured(0.001, 0.002).model_copy(update={"interval": None}))
    assert answer(tmp_path, [bare]).status is Status.INCONCLUSIVE
    exact = bare.model_copy(update={"strength": Strength.EXACT})
    assert answer(tmp_path, [exact]).status is Status.PASS


def test_one_broken_finding_of_several_breaks_the_promise(tmp_path: Path) -> None:
    good, bad = membership(measured(0.001, 0.009)), membership(measured(0.02, 0.04))
    assert answer(tmp_path, [good, bad]).status is Status.FAIL


@pytest.mark.parametrize("ended", [Status.ERROR, Status.INCONCLUSIVE])
def test_a_finding_that_decided_nothing_leaves_a_promise_open_that_another_keeps(tmp_path: Path, ended: Status) -> None:
    kept, broke_off = membership(measured(0.001, 0.008)), finding("attack.membership", ended, key="of=other")
    assert answer(tmp_path, [kept]).status is Status.PASS
    assert answer(tmp_path, [kept, broke_off]).reason == "not-decided"


@pytest.mark.parametrize("day", ["2027-06-01", "2027-06-02"])
def test_limits_registered_on_the_day_of_the_test_or_later_fail(tmp_path: Path, day: str) -> None:
    found = answer(tmp_path, [membership(measured(0.001, 0.009))], FILE.replace("2027-05-01", day))
    assert found.status is Status.FAIL
    assert "not beforehand" in found.summary


def test_the_day_before_the_test_is_beforehand(tmp_path: Path) -> None:
    found = answer(tmp_path, [membership(measured(0.001, 0.009))], FILE.replace("2027-05-01", "2027-05-31"))
    assert found.status is Status.PASS


def test_a_test_after_the_placing_on_the_market_decides_nothing(tmp_path: Path) -> None:
    found = answer(tmp_path, [membership(measured(0.001, 0.009))], placed_on_market=date(2027, 5, 31))
    assert (found.status, found.reason) == (Status.INCONCLUSIVE, "placed-before-test")
    same_day = answer(tmp_path, [membership(measured(0.001, 0.009))], placed_on_market=date(2027, 6, 1))
    assert same_day.status is Status.PASS
    found = answer(tmp_path, [membership(measured(0.02, 0.04))], placed_on_market=date(2027, 5, 31))
    assert found.status is Status.FAIL  # a broken promise is broken whenever


START = datetime(2027, 6, 1, 9, tzinfo=UTC)
TRUST = """version = 1
[require]
auditor = 1
[[timestamp_authorities]]
certificate = "tsa.pem"
"""


def stamped(folder: Path, reply: bytes, *, trust: bool = True) -> Finding:
    """What is answered of a kept promise with that reply beside the file."""
    (folder / "thresholds.toml.tsr").write_bytes(reply)
    (folder / "tsa.pem").write_bytes(TSA.pem)
    (folder / "trust.toml").write_text(TRUST)
    options = Options(trust=folder / "trust.toml" if trust else None)
    return answer(folder, [membership(measured(0.001, 0.009))], options=options)


def test_a_time_stamp_by_a_listed_authority_proves_the_day(tmp_path: Path) -> None:
    reply = TSA.reply(FILE.encode(), START - timedelta(seconds=1))
    found = stamped(tmp_path, reply)
    assert (found.status, found.strength, found.basis) == (Status.PASS, Strength.EXACT, Basis.RECORDED)
    assert found.evidence == (hashlib.sha256(reply).hexdigest(),)
    assert "stood on 2027-06-01T08:59:59Z at the latest" in found.detail
    assert found.limitations == ("That no test was run in secret before the limits were stamped is the owner's word.",)


@pytest.mark.parametrize(
    ("reply", "trust", "words"),
    [
        (b"anything", True, "proves nothing: this is no time-stamp"),
        (TSA.reply(FILE.encode() + b"#", START - timedelta(1)), True, "about other bytes"),
        (TSA.reply(FILE.encode(), START - timedelta(1), signing_scalar=99), True, "does not verify"),
        (TSA.reply(FILE.encode(), START - timedelta(1), status=2), True, "granted no time-stamp"),
        (OTHER.reply(FILE.encode(), START - timedelta(1)), True, "not that of a listed authority"),
        (TSA.reply(FILE.encode(), START), True, "not before the test"),
        (TSA.reply(FILE.encode(), START - timedelta(1), accuracy=86400), True, "not before the test"),
        (TSA.reply(FILE.encode(), START - timedelta(1)), False, "no trust file that lists its authority"),
    ],
)
def test_a_time_stamp_that_proves_nothing_leaves_the_owner_s_word(
    tmp_path: Path, reply: bytes, trust: bool, words: str
) -> None:
    assert stamped(tmp_path, TSA.reply(FILE.encode(), START - timedelta(1))).strength is Strength.EXACT
    found = stamped(tmp_path, reply, trust=trust)
    assert (found.status, found.strength, found.basis) == (Status.PASS, Strength.DOCUMENT, Basis.DECLARED)
    assert words in found.limitations[0]
    assert found.evidence == ()


def test_a_time_stamp_excuses_no_date_after_the_test(tmp_path: Path) -> None:
    text = FILE.replace("2027-05-01", "2027-06-02")
    stamped(tmp_path, TSA.reply(text.encode(), START - timedelta(1)))
    options = Options(trust=tmp_path / "trust.toml")
    found = answer(tmp_path, [membership(measured(0.001, 0.009))], text, options=options)
    assert found.status is Status.FAIL


def test_without_a_file_it_is_not_asked(tmp_path: Path) -> None:
    [found] = ask(thresholds, system(), tmp_path)
    assert (found.status, found.reason) == (Status.SKIPPED, "missing:documents.thresholds")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('op = "<="', 'op = "<"'), "not one of <=, >="),
        (("limit = 0.01", "limit = nan"), "not a finite number"),
        (("limit = 0.01", "limit = inf"), "not a finite number"),
        (("confidence = 0.95", "confidence = 1.0"), "confidence"),
        (("min_n = 1000", "min_n = 0"), "min_n"),
        (("registered_on = 2027-05-01", 'registered_on = "yesterday"'), "a date reads YYYY-MM-DD"),
        (("registered_by", "registrated_by"), "registered_by"),
        (('"attack.membership"', '"Attack Membership"'), "check"),
        (("version = 1", "version = 2"), "version"),
        ((FILE[FILE.index("[[") :], "threshold = []\n"), "threshold"),
        ((FILE[FILE.index("[[") :], FILE[FILE.index("[[") :] * 2), "promised twice"),
        (("version = 1", "version = "), "line 1"),
    ],
)
def test_a_file_that_promises_nothing_certain_is_refused(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    path = tmp_path / "thresholds.toml"
    path.write_text(FILE.replace(*change), encoding="utf-8")
    with pytest.raises(JudgeFileError, match=words) as caught:
        read_thresholds(path)
    assert caught.value.exit_code == 2
    assert caught.value.hint


@given(low=st.floats(-2, 2), width=st.floats(0, 2), limit=st.floats(-2, 2), op=st.sampled_from(["<=", ">="]))
def test_whatever_the_value_kept_and_broken_exclude_one_another(
    low: float, width: float, limit: float, op: str
) -> None:
    promise = Promise.model_validate({"check": "a.b", "measurement": "m", "op": op, "limit": limit})
    promised = Thresholds(version=1, registered_on=date(2027, 1, 1), registered_by="A", threshold=(promise,))
    interval = Interval(low=low, high=low + width, confidence=0.95)
    figure = Measurement(name="m", value=low, interval=interval, method="any")
    [found] = outcomes(promised, [finding("a.b", measurements=(figure,))])
    points = [low, low + width / 3, low + width]  # the definition: what each value in the interval would say
    keeps = [point <= limit if op == "<=" else point >= limit for point in points]
    assert found.state == ("kept" if all(keeps) else "undecided" if any(keeps) else "broken")
