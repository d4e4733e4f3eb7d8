import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.quotes import locate, normalise
from compliance.traced import untouched

PIECES = (
    "the", "High", "risk", "system", "un", "able", "0.95", "10⁵", "ﬁne", "Straße", "e\u0301te", "x₂", "naïve", "2*3",
    "“quoted”", "it’s", "post-market", "plan—do", "**bold**", "`code`", "\u00ad", "\u200b", "½", "Å", "か", "\uff9e",
    "\u1100", "\u1161", "\u11a8", "ㅏ", " ", "  ", "\n", "\n\n", "\t", "\u00a0", "…", "\u2033", "\u00a8", "İ", "Σς",
    "*",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)
WORDS = st.lists(
    st.sampled_from(("risk", "management", "System", "of", "the", "0.95", "“sound”", "it’s", "plan—do", "high-risk")),
    min_size=4,
    max_size=30,
)
RAISED = re.compile(
    "(["
    + "".join(
        character
        for character in map(chr, range(0x110000))
        if unicodedata.decomposition(character).startswith(("<super>", "<sub>", "<fraction>"))
    )
    + "])"
)
TABLE = (
    {ord(mark): '"' for mark in "“”„‟«»″"}
    | {ord(mark): "'" for mark in "‘’‚‛′"}
    | {ord(dash): "-" for dash in "‐‑‒–—―−"}
)


def as_defined(text: str) -> str:
    """What `normalise` gives, step by step over the whole text; it knows no way back."""
    kept, done = "", 0
    for gone in re.finditer("[*`\u00ad\u200b-\u200d\u2060\ufeff]+", text):
        kept += text[done : gone.start()]
        if text[gone.start() - 1 : gone.start()].isdigit() and text[gone.end() : gone.end() + 1].isdigit():
            kept += "*" * gone.group().count("*")
        done = gone.end()
    parts = RAISED.split(kept + text[done:])
    mapped = [
        part if number % 2 else unicodedata.normalize("NFKC", part.translate(TABLE)).translate(TABLE)
        for number, part in enumerate(parts)
    ]
    return re.sub(r"\s+", " ", "".join(mapped).casefold())


def places(quote: str, text: str) -> list[int]:
    """Every place of a normalised quote in a normalised text, by brute force."""
    wanted, searched = as_defined(quote).strip(" \"'.,;:…"), as_defined(text)
    return [place for place in range(len(searched)) if searched[place : place + len(wanted)] == wanted]


@given(TEXTS)
def test_normalising_in_pieces_is_normalising_the_whole(text: str) -> None:
    assert normalise(text).text == as_defined(text)


@given(TEXTS, st.data())
def test_offsets_slice_to_the_same_normalised_text(text: str, data: st.DataObject) -> None:
    found = normalise(text)
    if not found.text:
        return
    start = data.draw(st.integers(0, len(found.text) - 1))
    end = data.draw(st.integers(start + 1, len(found.text)))
    first, last = found.span(start, end)
    assert 0 <= first < last <= len(text)
    assert found.text[start:end].strip(" *") in as_defined(text[first:last])  # a star at an end is dropped


@given(WORDS, st.data())
def test_a_quote_in_other_white_space_and_marks_is_found(words: list[str], data: st.DataObject) -> None:
    text = " ".join(words)
    first = data.draw(st.integers(0, len(words) - 3))
    last = data.draw(st.integers(first + 3, len(words)))
    spaced = data.draw(st.lists(st.sampled_from((" ", "  ", "\n", "\t", "\r\n", "\u00a0")), min_size=99, max_size=99))
    quote = "".join(word + space for word, space in zip(words[first:last], spaced, strict=False))
    for old, new in (("“", '"'), ("”", '"'), ("’", "'"), ("—", "-")):
        if data.draw(st.booleans()):
            quote = quote.replace(old, new)
    quote = (
        f"{data.draw(st.sampled_from(('', '“', '*', '... ')))}{quote}{data.draw(st.sampled_from(('', '.', '”', '…')))}"
    )
    if len(as_defined(quote).strip(" \"'.,;:…")) < 12:
        return
    found = locate(quote, text)
    assert found is not None
    assert as_defined(found.text).strip(" \"'.,;:…") == as_defined(quote).strip(" \"'.,;:…")
    assert text[found.start : found.end] == found.text


@settings(max_examples=200)
@given(WORDS, st.data())
def test_no_mutated_quote_is_accepted(words: list[str], data: st.DataObject) -> None:
    text = " ".join(words)
    if len(text) < 14:
        return
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("qxz7é"))
    if as_defined(text[place]) == other or text[place] in " \"'.,;:…“”":
        return
    changed = text[:place] + other + text[place + 1 :]
    assert (locate(changed, text) is not None) <= bool(places(changed, text))


def test_a_changed_letter_is_another_quote() -> None:
    """The positive control of the test above: the oracle finds nothing either."""
    text = "The system reached an accuracy of 0.95 on held-out data."
    assert locate("reached an accuracy of 0.95", text) is not None
    assert places("reached an accuracy of 0.96", text) == []
    assert locate("reached an accuracy of 0.96", text) is None


@pytest.mark.parametrize(
    ("quote", "text"),
    [
        ("able to explain the outcome", "The team was unable to explain the outcome."),
        ("able to explain the outcome", "The team was un**able to explain the outcome**."),
        ("able to explain the outcome", "The team was un\u00adable to explain the outcome."),
        ("compliant with the requirements", "It is non-compliant with the requirements."),
        ("an accuracy of at least 0.9", "It has an accuracy of at least 0.95 on the data."),
        ("an accuracy of at least 0", "It has an accuracy of at least 0.95 on the data."),
        ("95 percent of the records", "It lost 0.95 percent of the records."),
        ("a modulus of about 105", "With a modulus of about 10⁵ the sums fit."),
        ("a modulus of about 105", "With a modulus of about 10**5 the sums fit."),
        ("a product of exactly 23", "It has a product of exactly 2*3."),
        ("risks are ... reviewed yearly", "The risks are listed and reviewed yearly."),
        ("too short", "This is too short to count."),
    ],
)
def test_what_is_not_said_is_not_found(quote: str, text: str) -> None:
    assert locate(quote, text) is None


@pytest.mark.parametrize(
    ("quote", "text"),
    [
        ("which process multi-source data", "encoders—which process multi-source data"),
        ('called "post-market" monitoring', "what is called “post\u2011market” monitoring here"),
        ("RISK MANAGEMENT SYSTEM", "The risk\nmanagement   **system** is documented"),
        ("a modulus of about 10⁵", "With a modulus of about 10⁵ the sums fit."),
        ("the café’s naïve approach", "Here the cafe\u0301's nai\u0308ve approach holds"),
        ("final fine-tuning", "The ﬁnal ﬁne-tuning took a day"),
    ],
)
def test_what_differs_in_dress_alone_is_found(quote: str, text: str) -> None:
    assert locate(quote, text) is not None


def test_a_quote_is_between_12_and_400_characters_without_its_marks() -> None:
    text = "a" * 500 + " twelve chars and more"
    assert locate('"twelve chars."', text) is not None
    assert locate("welve chars!", text) is None
    assert locate("a" * 400, "a" * 400) is not None
    assert locate("a" * 401, "a" * 401) is None


def test_a_quote_comes_with_the_sentence_around_it() -> None:
    text = "# Tests\n\nNothing. The model was tested on 1.5 million records, e.g. of wards,\nthen released. The end."
    found = locate("tested on 1.5 million records", text)
    assert found is not None
    start, end = found.sentence
    assert start <= found.start < found.end <= end
    assert text[start:end].startswith("The model was tested")
    assert "The end" not in text[start:end]


def test_a_quote_may_be_looked_for_in_one_part() -> None:
    text = "The first part says it here. The second part says it here."
    known = normalise(text)
    found = locate("part says it here", text, normalised=known, within=(28, len(text)))
    assert found is not None
    assert found.start > 28
    assert locate("The first part says", text, normalised=known, within=(28, len(text))) is None
    assert locate("The first part says", text, normalised=known, within=(1, len(text))) is None


def test_untouched_text_leads_back_to_itself() -> None:
    assert untouched("abc").span(1, 2) == (1, 2)
