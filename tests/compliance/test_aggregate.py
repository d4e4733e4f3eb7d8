"""Answers are merged towards the side that claims less."""

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.aggregate import (
    ANSWERS,
    Answer,
    Merged,
    band,
    lower_median,
    merge_panel,
    merge_parts,
    merge_samples,
    score_set,
)

scores = st.integers(1, 5)
merged = st.builds(Merged, st.sampled_from(ANSWERS), scores, st.integers(0, 4), st.booleans(), st.booleans())


@given(st.lists(st.integers(-50, 50), min_size=1))
def test_the_median_of_an_even_number_is_the_lower_one(values: list[int]) -> None:
    assert lower_median(values) == statistics.median_low(values)


def test_nothing_has_no_median() -> None:
    with pytest.raises(ValueError, match="no values"):
        lower_median([])


@pytest.mark.parametrize(
    ("answers", "expected", "unstable"),
    [
        (("supports",), "supports", False),
        (("supports", "supports", "contradicts"), "supports", False),  # a strict majority
        (("supports", "contradicts"), "contradicts", True),
        (("supports", "partially_supports", "insufficient_evidence"), "insufficient_evidence", True),
        (
            ("supports", "supports", "partially_supports", "partially_supports", "contradicts"),
            "partially_supports",
            True,
        ),
        (("supports", "not_applicable"), "not_applicable", True),
    ],
)
def test_a_tie_of_samples_goes_to_the_more_cautious(answers: tuple[Answer, ...], expected: str, unstable: bool) -> None:
    for order in itertools.permutations(answers):
        found = merge_samples([Merged(answer, 3) for answer in order])
        assert (found.answer, found.unstable) == (expected, unstable)


CAUTIOUS: tuple[Answer, ...] = ("contradicts", "insufficient_evidence", "partially_supports", "supports")
TELLING: tuple[Answer, ...] = (
    "contradicts", "supports", "partially_supports", "insufficient_evidence", "not_applicable",
)  # fmt: skip


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(CAUTIOUS, 2)))
def test_of_two_answers_the_more_cautious_stands(first: Answer, second: Answer) -> None:
    for pair in ((first, second), (second, first)):
        assert merge_samples([Merged(answer, 3) for answer in pair]).answer == first
        assert merge_panel([Merged(answer, 3) for answer in pair]).answer == first


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(TELLING, 2)))
def test_of_two_parts_the_more_telling_stands(first: Answer, second: Answer) -> None:
    for pair in ((first, second), (second, first)):
        assert merge_parts([Merged(answer, 3) for answer in pair]).answer == first


@pytest.mark.parametrize(
    ("given_scores", "median", "width", "unstable"), [([4, 4, 5], 4, 1, False), ([2, 4, 4], 4, 2, True)]
)
def test_scores_two_apart_are_unstable(given_scores: list[int], median: int, width: int, unstable: bool) -> None:
    found = merge_samples([Merged("partially_supports", score) for score in given_scores])
    assert (found.score, found.score_range, found.unstable) == (median, width, unstable)


def test_one_part_that_contradicts_outweighs_all_that_support() -> None:
    parts = [Merged("supports", 5), Merged("contradicts", 2), Merged("supports", 4), Merged("contradicts", 1)]
    found = merge_parts(parts)
    assert (found.answer, found.score) == ("contradicts", 1)  # the lower median of the winning parts alone


def test_silent_parts_do_not_hide_one_that_speaks() -> None:
    found = merge_parts(
        [Merged("insufficient_evidence", 1), Merged("partially_supports", 3), Merged("not_applicable", 1)]
    )
    assert (found.answer, found.score) == ("partially_supports", 3)


@given(st.lists(merged, min_size=1, max_size=5), st.randoms())
def test_the_order_of_what_is_merged_changes_nothing(several: list[Merged], random: object) -> None:
    shuffled = sorted(several, key=lambda _one: random.random())  # type: ignore[attr-defined]
    for merge in (merge_samples, merge_parts, merge_panel):
        assert merge(several) == merge(shuffled)


@given(st.lists(merged, min_size=1, max_size=5))
def test_doubt_survives_merging(several: list[Merged]) -> None:
    doubted = any(one.unstable for one in several)
    assert merge_parts(several).unstable is doubted
    assert merge_panel(several).unstable is doubted


def test_members_two_apart_disagree_and_the_lower_median_stands() -> None:
    found = merge_panel(
        [Merged("supports", 5), Merged("supports", 4), Merged("partially_supports", 2), Merged("supports", 4)]
    )
    assert (found.answer, found.score, found.disagrees) == ("supports", 4, True)
    assert not merge_panel([Merged("supports", 5), Merged("supports", 4)]).disagrees


@given(scores, st.integers(0, 4))
def test_a_score_set_holds_every_label_within_the_radius(score: int, radius: int) -> None:
    assert set(score_set(score, radius)) == {label for label in range(1, 6) if abs(label - score) <= radius}


@pytest.mark.parametrize(
    ("score", "radius", "expected"),
    [
        (1, 1, "likely_gap"),
        (2, 1, "likely_gap"),
        (3, 1, "unclear"),
        (4, 1, "no_gap_found"),
        (5, 1, "no_gap_found"),
        (3, 0, "unclear"),  # three alone speaks for neither side
        (5, 2, "no_gap_found"),
        (4, 2, "unclear"),
        (1, 3, "unclear"),
        (5, 4, "unclear"),
    ],
)
def test_a_band_is_clear_only_where_the_set_stays_on_one_side(score: int, radius: int, expected: str) -> None:
    assert band(score_set(score, radius)) == expected
