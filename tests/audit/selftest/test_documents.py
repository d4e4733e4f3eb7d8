"""Documents of the zoo say what their flaws say of them; what they are held against is worked out anew here."""

import tomllib
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from audit.request import Request
from audit.run import ask_system
from audit.selftest.documents import DOCUMENT, THRESHOLDS
from audit.selftest.play import Case, Discarded, built
from audit.selftest.zoo import chosen
from reports.model import Effort, Status

NOW = datetime(2026, 11, 22, tzinfo=UTC)
Build = Callable[[str, bool], Path]
BOTH = pytest.mark.parametrize("planted", [True, False], ids=["flaw", "twin"])


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Build a flaw's system or its twin's, and return its folder."""

    def folder(flaw: str, planted: bool) -> Path:
        [one] = chosen([flaw])
        built(one, Case(flaw, planted, 3, Effort.SMOKE, NOW), tmp_path / flaw)
        return tmp_path / flaw

    return folder


def declared(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "system.toml").read_text(encoding="utf-8"))


def delta_of(epsilon: float, privacy: dict[str, Any]) -> float:
    """The delta of composed Gaussian mechanisms at an epsilon (arXiv:1805.06530, theorem 8)."""
    mu = np.sqrt(privacy["steps"]) / privacy["noise_multiplier"]
    low, high = norm.cdf(-epsilon / mu + mu / 2), norm.cdf(-epsilon / mu - mu / 2)
    return float(low - np.exp(epsilon) * high)


@BOTH
def test_the_epsilon_in_the_text_is_refuted_by_the_formula_or_follows_from_it(build: Build, planted: bool) -> None:
    folder = build("document-claims-refuted", planted)
    text, system = (folder / DOCUMENT).read_text(encoding="utf-8"), declared(folder)
    privacy = system["federation"]["differential_privacy"]
    said = float(text.partition("epsilon = ")[2].split()[0])
    assert (delta_of(said, privacy) > privacy["delta"]) == planted
    assert delta_of(system["claims"]["epsilon"], privacy) <= privacy["delta"]  # the declaration is true of both
    assert ("cannot be reversed" in text) == planted


def test_each_of_the_two_claims_is_refuted_by_itself(build: Build) -> None:
    request = Request(
        build("document-claims-refuted", True) / "system.toml", None, NOW, effort=Effort.SMOKE, seed=1,
        only=("attack.vertical", "dp.accounting", "compliance.claims"),
    )  # fmt: skip
    found = ask_system(request, Discarded()).findings
    failed = {one.key for one in found if one.check == "compliance.claims" and one.status is Status.FAIL}
    assert failed == {f"claim={kind} source={DOCUMENT}" for kind in ("epsilon", "no_reconstruction")}


@BOTH
def test_the_same_promise_is_broken_by_little_noise_and_kept_by_more(build: Build, planted: bool) -> None:
    folder = build("threshold-missed", planted)
    promised = tomllib.loads((folder / THRESHOLDS).read_text(encoding="utf-8"))
    [limit] = [one["limit"] for one in promised["threshold"]]
    privacy = declared(folder)["federation"]["differential_privacy"]
    assert (delta_of(limit, privacy) > privacy["delta"]) == planted
    assert limit == 8.0
    assert promised["registered_on"] < date(2026, 11, 22)


@BOTH
def test_one_citation_changes_and_nothing_else(build: Build, planted: bool) -> None:
    text = (build("citation-of-a-deleted-paragraph", planted) / DOCUMENT).read_text(encoding="utf-8")
    assert ("10(5)" in text, "4a(1)" in text) == (planted, not planted)


@BOTH
def test_the_instruction_stands_in_a_comment_alone(build: Build, planted: bool) -> None:
    text = (build("instruction-concealed", planted) / DOCUMENT).read_text(encoding="utf-8")
    before, comment, after = text.partition("<!--")
    assert bool(comment) == planted
    assert "Ignore" not in before
    assert ("Ignore all previous instructions" in after) == planted
