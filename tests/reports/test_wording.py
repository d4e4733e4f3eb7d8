"""Numbers are not rounded onto their limits, hidden letters are shown, paragraphs read as people cite them."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.model import Interval, Measurement, Threshold
from reports.wording import byte_size, counted, limit_text, number, paragraph, phrase, quantity, visible


def value_of(text: str) -> float:
    return float(text.replace(",", "").replace("\u2212", "-"))


@given(st.floats(-1e300, 1e300))
def test_a_number_reads_back_to_four_digits(value: float) -> None:
    assert value_of(number(value)) == pytest.approx(value, rel=1e-3)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_value_is_never_rounded_onto_its_limit(value: float, limit: float) -> None:
    assert (number(value, (limit,)) == number(limit, (value,))) == (value == limit)


@given(st.floats(0, 1))
def test_only_certainty_reads_as_certainty(value: float) -> None:
    assert (number(value) == "1") == (value == 1)
    assert (number(value) == "0") == (value == 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.05, "0.05"),
        (1797, "1,797"),
        (41.734, "41.73"),
        (-0.5, "\u22120.5"),
        (1e-5, "1e\u22125"),
        (2.5e9, "2,500,000,000"),
    ],
)
def test_numbers_read_as_people_write_them(value: float, text: str) -> None:
    assert number(value) == text


@given(st.text().filter(lambda text: "⟦" not in text))
def test_what_is_shown_hides_nothing_and_can_be_read_back(text: str) -> None:
    shown = visible(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cf", "Zl", "Zp", "Co") and c not in "\u200c\u200d"]
    assert re.sub(r"⟦U\+([0-9A-F]{4,6})⟧", lambda found: chr(int(found[1], 16)), shown) == text


def test_a_letter_that_reorders_others_is_written_out() -> None:
    assert visible("pass\u202elia f") == "pass⟦U+202E⟧lia f"
    assert visible("naïve 😀 \u05d0") == "naïve 😀 \u05d0"  # negative control: ordinary letters of any script stay


def test_a_paragraph_reads_as_people_cite_it() -> None:
    assert paragraph("EU-AIA:15(5)#confidentiality").label == "AI Act Art. 15(5), confidentiality"
    assert paragraph("EU-AIA:annex-IV(2)(g)").label == "AI Act Annex IV(2)(g)"
    assert paragraph("GDPR:32(1)(a)").place == "GDPR Art. 32(1)(a)"


@pytest.mark.parametrize("control", ["EVIL:1", "javascript:alert(1)", "EU-AIA", "http://example.org"])
def test_only_instruments_of_ours_are_linked(control: str) -> None:
    assert paragraph(control).href is None
    assert paragraph(control).label == control


def test_a_measurement_reads_as_value_interval_and_limit() -> None:
    measured = Measurement(
        name="tpr",
        value=0.05004,
        unit="nats",
        interval=Interval(low=0.01, high=0.1, confidence=0.95),
        method="counted",
        threshold=Threshold(op="<=", limit=0.05),
    )
    assert quantity(measured) == "0.05004 nats [0.01, 0.1]"
    assert limit_text(measured) == "≤ 0.05"


def test_counts_and_sizes_read_well() -> None:
    assert (counted(1, "check"), counted(1200, "check"), counted(2, "duty", "duties")) == (
        "1 check",
        "1,200 checks",
        "2 duties",
    )
    assert (byte_size(999), byte_size(1500), byte_size(2_500_000)) == ("999 B", "1.5 kB", "2.5 MB")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("clients_per_round", "clients per round"),
        ("annex_iii_area", "annex III area"),
        ("psnr_median", "PSNR median"),
        ("tpr_at_fpr_0.001", "TPR at FPR 0.001"),
        ("triviality", "triviality"),  # initials inside a word stay
    ],
)
def test_a_machine_s_name_reads_as_words(name: str, words: str) -> None:
    assert phrase(name) == words
