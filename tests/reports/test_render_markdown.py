"""The report as Markdown: read by somebody else's parser, whatever a report holds is text there."""

import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from markdown_it import MarkdownIt
from markdown_it.token import Token

from reports.render_markdown import block, cell, code, escaped, render_markdown
from reports.view import Signer, view_of
from reports.wording import visible
from tests.reports.hostile import FRAGMENTS, hostile, view_of_word
from tests.reports.sample_report import sample

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
SAMPLE = sample()
HARMLESS = {"text", "code_inline", "strong_open", "strong_close", "em_open", "em_close", "softbreak"}


def blocks(markdown: str) -> list[tuple[str, str]]:
    return [(token.type, token.tag) for token in PARSER.parse(markdown)]


def inline(markdown: str) -> list[Token]:
    return [child for token in PARSER.parse(markdown) for child in token.children or ()]


def letters(text: str) -> str:
    return re.sub(r"\s", "", text)


@pytest.fixture(scope="module")
def plain() -> str:
    return render_markdown(view_of_word("plain"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(word=hostile)
@example(word="1. one")
@example(word="12) twelve")
@example(word="- one")
@example(word="# one #")
@example(word=": one | two@e.org |")
def test_hostile_strings_stay_text(plain: str, word: str) -> None:
    markdown = render_markdown(view_of_word(word))
    assert {token.type for token in inline(markdown)} <= HARMLESS
    kinds = [kind for kind in blocks(markdown) if kind[0] != "code_block"]
    assert kinds == [kind for kind in blocks(plain) if kind[0] != "code_block"]
    shown = letters("".join(token.content for token in inline(markdown)))
    assert letters(visible(word)) in shown


@given(word=hostile)
def test_escaped_text_is_shown_letter_by_letter(word: str) -> None:
    for before, after in (("", ""), ("- ", ""), ("# ", ""), ("a ", " b")):
        tokens = inline(before + escaped(word) + after)
        assert {token.type for token in tokens} <= {"text", "code_inline"}
        shown = letters("".join(token.content for token in tokens))
        assert shown == letters(before.lstrip("-# ") + visible(word) + after)


@given(word=hostile)
def test_a_code_span_cannot_be_closed_from_within(word: str) -> None:
    [token] = inline(code(word))
    assert token.type == "code_inline"
    assert letters(token.content) == letters(visible(word))
    table = f"| a | b |\n| - | - |\n| {cell(word)} | plain |"
    cells = [found for found in PARSER.parse(table) if found.type == "inline"][2:]
    assert letters(cells[0].children[0].content) == letters(visible(word))
    assert cells[1].content == "plain"


@given(word=hostile)
def test_a_block_cannot_be_left_from_within(word: str) -> None:
    assert {token.type for token in PARSER.parse("before\n\n" + block(word) + "\n\nafter")} <= {
        "paragraph_open", "inline", "paragraph_close", "code_block",
    }  # fmt: skip


def test_the_parser_would_see_what_is_not_escaped() -> None:
    """Positive control: raw, most of the fragments are more than text to this parser."""
    kinds = {token.type for fragment in FRAGMENTS for token in inline(f"x {fragment} y")}
    assert kinds >= {"link_open", "image", "html_inline", "strong_open", "s_open"}


def test_what_might_call_somebody_or_become_a_link_is_code() -> None:
    for text in ("see https://e.org", "www.e.org", "mail a@e.org", "@someone", ":tada:"):
        assert escaped(text).startswith("`")
    for text in ("model.safetensors, 0.05, 41.73", "2026-11-21 09:30:00 UTC"):
        assert escaped(text) == text  # negative control


def test_it_says_what_the_page_says() -> None:
    view = view_of(SAMPLE.statement, lookup=SAMPLE.contents.get, signers=[Signer("9f" * 32)])
    markdown = render_markdown(view)
    assert markdown == render_markdown(view)
    headings = [token.content for token in PARSER.parse(markdown) if token.type == "inline" and token.level == 1]
    assert [int(h.split()[0]) for h in headings if re.match(r"\d ", h)] == list(range(1, 10))
    for words in (
        "60 of 60 planted records were read back",
        "limit ≤ 0.05",
        "It needs a recorded round",
        "fedaudit verify BUNDLE --trust trust.toml --subject model.safetensors",
        "verify before relying on it",
        SAMPLE.statement.sha256,
    ):
        assert words in markdown
    assert markdown.endswith("evidence, not a conformity assessment, not legal advice.\n")
    assert not set(re.findall(r"[a-z]+", markdown.lower())) & {"valid", "compliant", "certified", "guaranteed"}


def test_every_table_row_has_the_cells_of_its_head() -> None:
    markdown = render_markdown(view_of(SAMPLE.statement, lookup=SAMPLE.contents.get))
    tables = re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)
    assert len(tables) > 15
    for table in tables:
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(counts) == 1, table
