"""The calibration bar: published readers on either side of it, its edges, and what can never be admitted."""

import hashlib
import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.agreement import krippendorff_alpha
from compliance.aireg import Dataset, Item, dataset_of, read_scores, shipped_dataset
from compliance.calibration import Calibration, Fingerprint, calibrate, calibration_bytes, read_calibration
from compliance.calibration_records import Estimate, Plain, Undefined
from compliance.errors import CalibrationError
from reports.canonical import canonical_json

ROOT = Path(__file__).parents[2]
EXPECTED = json.loads((ROOT / "tests/vectors/compliance/aireg_expected.json").read_bytes())
TODAY = date(2026, 11, 21)
READER = Fingerprint(
    model="m", host="127.0.0.1:8080", temperature=0.0, top_p=1.0, max_tokens=700, prompt_sha256="a" * 64,
    schema_sha256="b" * 64,
)  # fmt: skip

PUBLISHED = read_scores(ROOT / "compliance/data/aireg_scores.json")
SHIPPED = shipped_dataset()


def calibrated(dataset: Dataset, scores: dict[str, int | None], **more: Any) -> Calibration:
    return calibrate(dataset, scores, on=TODAY, rng=np.random.default_rng(0), **{"fingerprint": READER, **more})


def experts(dataset: Dataset) -> dict[str, int | None]:
    return {item.id: item.reference for item in dataset.items}


def value(figure: Estimate | Plain | Undefined) -> float:
    assert figure.value is not None
    return figure.value


@pytest.mark.parametrize("model", sorted(EXPECTED["models"]))
def test_the_published_figures_come_out_to_1e_9(model: str) -> None:
    found, wanted = calibrated(PUBLISHED, PUBLISHED.scores_of(model)), EXPECTED["models"][model]
    for name in ("spearman", "exact", "over", "under", "kappa_qw", "mae", "bias"):
        assert value(getattr(found.metrics, name)) == pytest.approx(wanted[name], abs=1e-9)
    assert value(found.metrics.f1) == pytest.approx(wanted["f1_ge4"], abs=1e-9)
    for name, key in (("kappa_qw", "kappa_ci95"), ("mae", "mae_ci95"), ("bias", "bias_ci95")):
        figure = getattr(found.metrics, name)
        assert [figure.low, figure.high] == pytest.approx(wanted[key], abs=1e-9)
    for article, mae in wanted["by_article_mae"].items():
        assert found.by_article[article].mae == pytest.approx(mae, abs=1e-9)
        assert found.by_article[article].kappa_qw == pytest.approx(wanted["by_article_kappa"][article], abs=1e-9)
    assert found.within_violation.kappa_qw == pytest.approx(wanted["within_violation"]["kappa_qw"], abs=1e-9)
    assert found.human.alpha_ordinal == pytest.approx(EXPECTED["human"]["alpha_ordinal_compliance"], abs=1e-9)
    assert (found.n, found.missing, found.lexical.source) == (120, 0, "reference")


@pytest.mark.parametrize(
    ("model", "reasons"),
    [
        ("GPT-4o", ("false_compliant",)),
        ("o3 mini", ("kappa_interval", "false_compliant", "below_baseline")),
        ("Gemma 3", ("kappa_interval", "false_compliant", "below_baseline")),
    ],
)
def test_none_of_the_three_shipped_readers_meets_the_bar(model: str, reasons: tuple[str, ...]) -> None:
    found = calibrated(PUBLISHED, PUBLISHED.scores_of(model))
    assert (found.status, found.meets_bar, found.reasons) == ("not_admitted", False, reasons)


def test_a_judge_that_is_the_median_itself_has_kappa_1_and_meets_the_bar() -> None:
    found = calibrated(PUBLISHED, experts(PUBLISHED))
    assert (found.status, found.meets_bar, found.reasons) == ("admitted", True, ())
    assert found.metrics.kappa_qw == Estimate(value=1.0, low=1.0, high=1.0)
    assert found.score_set.radius == 0
    assert found.score_set.coverage == 1.0


@pytest.mark.parametrize("label", [1, 3, 5])
def test_a_constant_judge_does_not_meet_the_bar(label: int) -> None:
    found = calibrated(PUBLISHED, {item.id: label for item in PUBLISHED.items})
    assert not found.meets_bar
    assert isinstance(found.metrics.spearman, Undefined)
    assert "throughout" in found.metrics.spearman.undefined
    assert found.metrics.kappa_qw == Estimate(value=0.0, low=0.0, high=0.0)


@pytest.mark.parametrize(("missed", "reasons"), [(0, ()), (1, ("false_compliant",))])
def test_on_60_items_a_single_missed_gap_of_24_is_one_too_many(missed: int, reasons: tuple[str, ...]) -> None:
    scores = experts(SHIPPED)
    gaps = [item.id for item in SHIPPED.items if item.reference <= 2]
    scores |= dict.fromkeys(gaps[:missed], 4)
    found = calibrated(SHIPPED, scores)
    assert (found.false_compliant.count, found.false_compliant.of) == (missed, 24)
    assert found.reasons == reasons
    assert (found.false_compliant.upper <= 0.20) is (not missed)


def test_59_items_are_too_few_and_60_are_enough() -> None:
    for count, reasons in ((59, ("too_few_items",)), (60, ())):
        few = SHIPPED.first(count)
        found = calibrated(few, experts(few))
        assert found.reasons == reasons
        assert found.n == count


@pytest.mark.parametrize(
    ("invalid", "of", "reasons"), [(2, 100, ()), (2, 99, ("invalid_answers",)), (3, 100, ("invalid_answers",))]
)
def test_two_invalid_answers_in_a_hundred_are_borne_and_no_more(
    invalid: int, of: int, reasons: tuple[str, ...]
) -> None:
    asked = PUBLISHED.first(of)
    lost = [item.id for item in asked.items[:invalid]]
    found = calibrated(asked, experts(asked) | dict.fromkeys(lost), invalid=lost)
    assert (found.n, found.invalid, found.missing) == (of - invalid, invalid, 0)
    assert found.reasons == reasons


def test_a_reader_below_counting_words_does_not_meet_the_bar_however_good_else() -> None:
    """The texts give the experts' median away by one word: counting is then as good as the reader is not."""
    words = {label: "not " * (5 - label) + "tested " * (20 + label) for label in range(1, 6)}
    told = dataset_of("told", [replace(item, text=words[item.reference]) for item in PUBLISHED.items])
    scores = experts(told) | {item.id: 4 for item in told.items if item.reference == 5}
    found = calibrated(told, scores)
    assert found.lexical.source == "computed"
    assert found.lexical.kappa_qw == 1.0
    assert found.reasons == ("below_baseline",)
    assert found.skill.value is not None
    assert found.skill.value < 0
    assert found.skill.high is not None
    assert found.skill.high < 0


def test_a_scores_file_never_admits() -> None:
    found = calibrated(PUBLISHED, experts(PUBLISHED), fingerprint=None)
    assert (found.meets_bar, found.status, found.reasons) == (True, "not_admitted", ("scores_only",))


def test_counting_words_equals_the_published_figure_on_the_shipped_texts() -> None:
    found = calibrated(SHIPPED, experts(SHIPPED))
    assert found.lexical.kappa_qw == pytest.approx(EXPECTED["lexical"]["kappa_on_uses_1_to_4_only"], abs=1e-9)
    assert found.skill.low is not None
    assert found.skill.high is not None
    assert found.skill.value is not None
    assert found.skill.low < found.skill.value < found.skill.high


def test_counting_words_against_itself_has_no_skill() -> None:
    """The negative control of the paired interval: a reader that counts words adds nothing, in no resample."""
    from compliance.calibration_figures import Compared, counted_words

    compared = Compared.of(SHIPPED.items, experts(SHIPPED))
    said = counted_words(SHIPPED.items, compared)
    assert said is not None
    found = calibrated(SHIPPED, {item.id: int(score) for item, score in zip(SHIPPED.items, said, strict=True)})
    assert (found.skill.value, found.skill.low, found.skill.high) == (0.0, 0.0, 0.0)


@given(st.randoms(use_true_random=False), st.sampled_from(PUBLISHED.raters()))
@settings(max_examples=10)
def test_the_order_of_the_items_changes_nothing(shuffle: Any, rater: str) -> None:
    items = list(PUBLISHED.items)
    shuffle.shuffle(items)
    shuffled = dataset_of(PUBLISHED.name, items)
    scores = PUBLISHED.scores_of(rater)
    whole = calibrated(PUBLISHED, scores, resamples=100)
    assert calibration_bytes(calibrated(shuffled, scores, resamples=100)) == calibration_bytes(whole)


@pytest.mark.parametrize("rater", PUBLISHED.raters())
def test_score_sets_equal_their_slow_definition(rater: str) -> None:
    scores = PUBLISHED.scores_of(rater)
    pairs = [(item.use, scores[item.id] or 0, item.reference) for item in PUBLISHED.items]

    def radius(chosen: list[tuple[int, int, int]]) -> int:
        far = sorted(abs(score - reference) for _, score, reference in chosen)
        return far[-(-9 * (len(far) + 1) // 10) - 1]  # the ceil(0.9 (n + 1))-th smallest, in whole numbers

    held, sizes = 0, 0
    for use, score, reference in pairs:
        within = radius([one for one in pairs if one[0] != use])
        members = [label for label in range(1, 6) if abs(label - score) <= within]
        held += reference in members
        sizes += len(members)
    found = calibrated(PUBLISHED, scores).score_set
    assert found.radius == radius(pairs)
    assert (found.coverage, found.mean_size) == (pytest.approx(held / 120), pytest.approx(sizes / 120))
    assert isinstance(found.coverage, float)
    assert isinstance(found.mean_size, float)
    assert found.coverage >= 0.9
    assert 2.5 <= found.mean_size <= 4.1


def test_too_few_items_leave_a_score_set_of_all_labels() -> None:
    few = PUBLISHED.first(8)
    found = calibrated(few, experts(few)).score_set
    assert found.radius == 4
    assert isinstance(found.coverage, Undefined)  # all of one use


def test_a_panel_says_the_lower_median_of_those_who_scored() -> None:
    raters = {name: PUBLISHED.scores_of(name) for name in PUBLISHED.raters()}
    first = PUBLISHED.items[0].id
    raters["GPT-4o"] = raters["GPT-4o"] | {first: None}
    found = calibrated(PUBLISHED, raters["GPT-4o"], raters=raters)
    assert found.panel is not None
    assert found.panel.raters == ("GPT-4o", "Gemma 3", "o3 mini")
    table = [[np.nan if score is None else score for score in scores.values()] for scores in raters.values()]
    assert found.panel.alpha_ordinal == pytest.approx(krippendorff_alpha(table), abs=1e-12)
    medians = {
        name: sorted(score for scores in raters.values() if (score := scores[name]) is not None)[
            : 3 if name != first else 2
        ]
        for name in raters["Gemma 3"]
    }
    lower = {name: given[(len(given) - 1) // 2] for name, given in medians.items()}
    assert found.panel.metrics.mae.value == pytest.approx(
        np.mean([abs(lower[item.id] - item.reference) for item in PUBLISHED.items])
    )
    assert calibrated(PUBLISHED, raters["GPT-4o"], raters={"GPT-4o": raters["GPT-4o"]}).panel is None


def test_no_score_and_one_score_have_reasons_instead_of_numbers() -> None:
    for count, why in ((0, "there is no item"), (1, "one item alone")):
        scores = {item.id: item.reference for item in PUBLISHED.items[:count]}
        found = calibrated(PUBLISHED, scores)
        assert isinstance(found.metrics.kappa_qw, Undefined)
        assert why in found.metrics.kappa_qw.undefined
        assert found.missing == 120 - count
        assert found.skill.value is None
        assert found.skill.undefined
        assert not found.meets_bar
        json.loads(calibration_bytes(found))  # no NaN anywhere


def test_items_that_nobody_rated_count_as_missing() -> None:
    found = calibrated(replace(PUBLISHED, unrated=("x", "y")), experts(PUBLISHED))
    assert found.missing == 2


@pytest.mark.parametrize("score", [0, 6])
def test_a_score_off_the_scale_is_refused(score: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 5"):
        calibrated(PUBLISHED, {PUBLISHED.items[0].id: score})


def test_what_is_said_of_the_experts_within_violations_holds() -> None:
    violations = [item for item in PUBLISHED.items if item.profile == "violation"]
    assert krippendorff_alpha(np.array([item.human for item in violations], dtype=float).T) == pytest.approx(
        0.145, abs=5e-4
    )
    assert any("alpha 0.145" in text for text in calibrated(PUBLISHED, {}).limitations)


def test_a_calibration_is_read_back_as_it_was(tmp_path: Path) -> None:
    for dataset in (PUBLISHED, SHIPPED):
        made = calibrated(dataset, experts(dataset))
        path = tmp_path / "calibration.json"
        path.write_bytes(calibration_bytes(made))
        assert read_calibration(path) == made
        assert calibration_bytes(read_calibration(path)) == path.read_bytes()


@pytest.mark.parametrize("key", ["status", "meets_bar", "n", "scores", "on", "fingerprint", "sha256", "extra"])
def test_a_hand_edited_calibration_is_refused(tmp_path: Path, key: str) -> None:
    made = calibrated(PUBLISHED, PUBLISHED.scores_of("o3 mini"))
    edited: dict[str, Any] = json.loads(calibration_bytes(made))
    edited[key] = {
        "status": "admitted", "meets_bar": True, "n": 121, "scores": {}, "on": "2026-12-24", "fingerprint": None,
        "sha256": "0" * 64, "extra": 1,
    }[key]  # fmt: skip
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(edited))
    with pytest.raises(CalibrationError, match="was changed") as caught:
        read_calibration(path)
    assert (caught.value.code, caught.value.exit_code) == ("calibration.altered", 2)


def test_what_is_no_calibration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    for content, code in ((b"{}", "schema"), (b"no", "syntax"), (b'{"schema": "fedaudit.assessment/1"}', "schema")):
        path.write_bytes(content)
        with pytest.raises(CalibrationError) as caught:
            read_calibration(path)
        assert caught.value.code == f"calibration.{code}"
    with pytest.raises(CalibrationError, match="no such file"):
        read_calibration(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("lost", "told"), [("metrics", "metrics: is missing"), ("panel", "was changed"), ("fingerprint", "was changed")]
)
def test_whoever_seals_anew_must_still_write_a_whole_calibration(tmp_path: Path, lost: str, told: str) -> None:
    members: dict[str, Any] = json.loads(calibration_bytes(calibrated(PUBLISHED, {})))
    others = {name: member for name, member in members.items() if name not in (lost, "sha256")}
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({**others, "sha256": hashlib.sha256(canonical_json(others)).hexdigest()}))
    with pytest.raises(CalibrationError, match=told):
        read_calibration(path)


def test_items_of_a_dataset_are_compared_by_use_article_and_id() -> None:
    """The published order, so that the published intervals come out with the published generator."""
    ordered = sorted(PUBLISHED.items, key=lambda item: (item.use, item.article, item.id))
    assert [item.id for item in ordered] == [item.id for item in PUBLISHED.items]
    assert isinstance(ordered[0], Item)
