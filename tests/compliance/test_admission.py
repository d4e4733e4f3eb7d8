"""When a calibration lets a reader count: the same reader, ninety days, the measured articles, English."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compliance.admission import admission, is_english, measured_for
from compliance.aireg import read_scores, shipped_dataset
from compliance.calibration import Calibration, calibrate
from compliance.catalogue import load_catalogue
from compliance.fingerprint import Fingerprint, panel_fingerprint, reader_fingerprint
from compliance.llm.panel import MemberSettings

MADE = date(2026, 11, 21)
PUBLISHED = read_scores(Path(__file__).parents[2] / "compliance/data/aireg_scores.json")
MEASURED = Fingerprint(
    model="m", reply_model="m-2026-10", system_fingerprint="fp_1", host="127.0.0.1:8080", temperature=0.0, top_p=1.0,
    max_tokens=700, prompt_sha256="a" * 64, schema_sha256="b" * 64, dataset_sha256=PUBLISHED.sha256,
)  # fmt: skip
AT_WORK = MEASURED.model_copy(update={"dataset_sha256": None})
ENGLISH = "The system is described in the documentation and the provider keeps it up."


@dataclass(frozen=True)
class Duty:
    citations: tuple[str, ...]


def made(fingerprint: Fingerprint | None = MEASURED, *, good: bool = True) -> Calibration:
    scores: dict[str, int | None] = {item.id: item.reference if good else 3 for item in PUBLISHED.items}
    return calibrate(PUBLISHED, scores, on=MADE, rng=np.random.default_rng(0), fingerprint=fingerprint, resamples=100)


def test_the_measured_reader_is_admitted_and_one_below_the_bar_is_not() -> None:
    assert admission(made(), AT_WORK, MADE) == "admitted"
    assert admission(made(good=False), AT_WORK, MADE) == "not_admitted"


def test_without_a_calibration_a_reader_is_uncalibrated() -> None:
    assert admission(None, AT_WORK, MADE) == "uncalibrated"
    assert admission(None, None, MADE) == "uncalibrated"


@pytest.mark.parametrize(
    ("days", "state"), [(0, "admitted"), (90, "admitted"), (91, "expired"), (4000, "expired"), (-1, "expired")]
)
def test_a_calibration_lasts_90_days_and_does_not_speak_of_days_before_it(days: int, state: str) -> None:
    assert admission(made(), AT_WORK, MADE + timedelta(days)) == state


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"reply_model": "m-2026-11"},
        {"system_fingerprint": "fp_2"},
        {"system_fingerprint": None},
        {"host": "llm.example.org:443"},
        {"temperature": 0.7},
        {"top_p": 0.9},
        {"max_tokens": 701},
        {"prompt_sha256": "c" * 64},
        {"schema_sha256": "c" * 64},
        {"dataset_sha256": "c" * 64},
    ],
)
def test_any_other_reader_is_a_mismatch_also_late_and_below_the_bar(change: dict[str, Any]) -> None:
    other = AT_WORK.model_copy(update=change)
    assert admission(made(), other, MADE) == "mismatch"
    assert admission(made(good=False), other, MADE + timedelta(365)) == "mismatch"


def test_a_reader_of_whom_nothing_is_known_is_a_mismatch() -> None:
    assert admission(made(), None, MADE) == "mismatch"


def test_handed_in_scores_admit_nobody_whoever_is_at_work() -> None:
    handed_in = made(None)
    assert handed_in.meets_bar
    for reader in (AT_WORK, None):
        assert admission(handed_in, reader, MADE) == "not_admitted"
    assert admission(handed_in, AT_WORK, MADE + timedelta(91)) == "expired"


def test_a_panel_is_one_reader_in_whatever_order() -> None:
    a, b = MEASURED, MEASURED.model_copy(update={"model": "n", "host": "127.0.0.1:8081"})
    assert panel_fingerprint([a, b]) == panel_fingerprint([b, a]) != a
    assert panel_fingerprint([a]) == a
    assert panel_fingerprint([a, b]).model == "m + n"
    silent = b.model_copy(update={"system_fingerprint": None})
    assert panel_fingerprint([a, silent]).system_fingerprint == "fp_1 + "
    assert panel_fingerprint([silent, silent]).system_fingerprint is None
    with pytest.raises(ValueError, match="asked in one way"):
        panel_fingerprint([a, b.model_copy(update={"temperature": 1.0})])
    with pytest.raises(ValueError, match="one or more"):
        panel_fingerprint([])


def test_several_names_in_replies_are_one_fingerprint_in_whatever_order() -> None:
    settings = MemberSettings("m", "127.0.0.1:8080", 0.0, 1.0, 700, seed=7, context_tokens=8000)
    names = [f"m-2026-{month:02}" for month in range(1, 13)]
    found = reader_fingerprint(settings, reversed(names), ["b", "a", "b"])
    assert found.reply_model == " + ".join(names)
    assert found.system_fingerprint == "a + b"
    assert reader_fingerprint(settings, [], []).system_fingerprint is None


@pytest.mark.parametrize(
    ("citations", "measured"),
    [
        (["EU-AIA:9(1)"], True),
        (["EU-AIA:9"], True),
        (["EU-AIA:9(2)(a)", "EU-AIA:9(5)"], True),
        (["EU-AIA:10(2)(f)"], True),
        (["EU-AIA:15(5)"], True),
        (["EU-AIA:10"], False),
        (["EU-AIA:10(1)"], False),
        (["EU-AIA:10(6)"], False),
        (["EU-AIA:4a(1)"], False),
        (["EU-AIA:13(1)"], False),
        (["EU-AIA:annex-IV(2)(g)"], False),
        (["GDPR:9(1)"], False),
        (["EU-AIA:9(1)", "EU-AIA:17(1)"], False),
        ([], False),
    ],
)
def test_only_unchanged_paragraphs_of_five_articles_were_measured(citations: list[str], measured: bool) -> None:
    assert measured_for(Duty(tuple(citations)), ENGLISH) is measured


def test_of_the_catalogue_the_duties_of_the_five_articles_count_and_no_other() -> None:
    counted = {control.id for control in load_catalogue("2026-07-27").controls if measured_for(control, ENGLISH)}
    assert "EU-AIA:9(8)" in counted
    assert {"EU-AIA:10(1)", "EU-AIA:10(6)", "EU-AIA:4a(1)"}.isdisjoint(counted)
    assert {name.split(":")[1].split("(")[0].split("#")[0] for name in counted} == {"9", "10", "12", "14", "15"}


@pytest.mark.parametrize(
    ("text", "english"),
    [
        (ENGLISH, True),
        (ENGLISH.upper(), True),
        ("Das System wird in der Dokumentation beschrieben, und der Anbieter hält es auf dem neuesten Stand.", False),
        ("Le système est décrit dans la documentation, que le fournisseur tient à jour.", False),
        ("El sistema se describe en la documentación, que el proveedor mantiene al día.", False),
        ("0x7f 12 345", False),
        ("", False),
        ("the " + "word " * 9, True),
        ("the " + "word " * 10, False),
    ],
)
def test_english_is_told_by_its_commonest_words(text: str, english: bool) -> None:
    assert is_english(text) is english


def test_every_shipped_excerpt_is_english() -> None:
    assert all(is_english(item.text or "") for item in shipped_dataset().items)
