"""The tables of the README: every flaw a row, and, where the README holds them, every flaw of the zoo is there."""

import re
from pathlib import Path

import pytest

from audit.selftest.matrix import Matrix, Row
from audit.selftest.table import BEGIN, END, tables
from audit.selftest.zoo import zoo
from reports.check import discover
from reports.model import Effort, Status
from reports.self_test import NotTried
from tests.audit.selftest.test_evidence import DAY, evidence, evidence_of

README = Path(__file__).parents[3] / "README.md"
FIRST_CELL = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)


def test_a_flaw_is_one_row_that_counts_its_seeds() -> None:
    lines = tables(evidence()).splitlines()
    assert "| `dp-no-noise` | No noise is added | `dp.mechanism` | 2/2 | 0/2 |  |" in lines
    assert "| `leak-convnet` | A convolution leaks | left to effort standard | – | – | |" in lines
    assert "| `dp.mechanism` | 1 | 2/2 | 22.4% | 0/2 | 77.6% |" in lines  # 0.05^(1/2) and its complement
    assert any(line.startswith("| `verify` | no flaw is planted for it |") for line in lines)
    assert "2 of 2 planted flaws detected, 0 false alarms" in lines[0]


def test_what_others_noticed_and_what_is_expected_are_told() -> None:
    flawed = {"a.one": Status.INCONCLUSIVE, **dict.fromkeys(("b.a", "b.b", "b.c", "b.d"), Status.FAIL)}
    row = Row("f", "This | that", ("a.one",), Status.INCONCLUSIVE, 1, flawed, {"b.a": Status.FAIL})
    left = (NotTried(id="g", title="Other", reason="extra:llm"),)
    text = tables(evidence_of(Matrix(Effort.SMOKE, (1,), (row,), left, ()), DAY))
    assert "| `f` | This \\| that | `a.one` (inconclusive) | 1/1 | 1/1 | `b.b`, `b.c`, `b.d` |" in text
    assert "| `g` | Other | needs `[llm]` | – | – | |" in text


def test_every_row_has_as_many_cells_as_its_head() -> None:
    for table in tables(evidence()).split("\n\n")[1:]:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_the_readme_names_every_flaw_and_every_check_of_today() -> None:
    text = README.read_text(encoding="utf-8")
    if BEGIN not in text:
        pytest.skip("the README does not hold the tables yet")
    held = FIRST_CELL.findall(text.partition(BEGIN)[2].partition(END)[0])
    assert held == [*sorted(one.id for one in zoo()), *sorted([*(one.id for one in discover()), "verify"])]
