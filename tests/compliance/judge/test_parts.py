"""Nothing of a document is silently cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.judge.parts import OVERLAP, Part, cut, largest_part, uncovered

texts = st.text(alphabet="ab \n.", max_size=6000)


@given(texts, st.lists(st.integers(0, 6000), max_size=20), st.integers(2 * OVERLAP, 1500))
def test_parts_cover_every_character_and_are_small_enough(text: str, borders: list[int], largest: int) -> None:
    parts = cut(text, [border for border in borders if border <= len(text)], largest)
    assert {place for part in parts for place in range(part.start, part.end)} == set(range(len(text)))
    assert all(len(part.text) <= largest and part.text == text[part.start : part.end] for part in parts)
    assert [part.index for part in parts] == list(range(len(parts)))


@given(texts, st.integers(2 * OVERLAP, 1500))
def test_neighbours_share_two_hundred_characters(text: str, largest: int) -> None:
    parts = cut(text, (), largest)
    assert all(before.end - after.start == OVERLAP for before, after in itertools.pairwise(parts))


def test_a_document_that_fits_is_not_cut() -> None:
    assert cut("x" * 900, (10, 20), 900) == (Part(0, 0, 900, "x" * 900),)


def test_a_section_border_comes_before_a_paragraph_and_a_paragraph_before_a_hard_cut() -> None:
    text = "a" * 550 + "\n\n" + "b" * 1000
    assert cut(text, [520], 800)[0].end == 520
    assert cut(text, [], 800)[0].end == 552
    assert cut("a" * 1600, [], 800)[0].end == 800


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=6))
def test_uncovered_characters_are_those_in_no_part(spans: list[tuple[int, int]]) -> None:
    parts = [Part(i, min(span), max(span), "") for i, span in enumerate(spans)]
    covered = {place for part in parts for place in range(part.start, part.end)}
    assert uncovered(300, parts) == 300 - len(covered)


def test_the_room_for_a_part_is_what_prompt_and_answer_leave() -> None:
    assert largest_part(8000, 700) == 3 * (8000 - 1500 - 700)
    assert largest_part(8000, 700, prompt_tokens=2000) == 3 * (8000 - 2000 - 700)


def test_a_context_without_room_for_a_document_is_refused() -> None:
    with pytest.raises(ValueError, match="it takes 2334"):
        largest_part(2300, 700)
    assert largest_part(2334, 700) >= 2 * OVERLAP
