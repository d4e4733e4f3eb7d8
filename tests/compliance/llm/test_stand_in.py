"""The stand-in counts words, answers in form, speaks of duties alone that its part speaks of, and meets no bar."""

import asyncio
import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from compliance.agreement import quadratic_weighted_kappa
from compliance.aireg import ARTICLES, shipped_dataset
from compliance.calibration import calibrate, reader_fingerprint
from compliance.judge.answer import parse_answer
from compliance.judge.decoy import DECOYS
from compliance.judge.planted import article_duty, draw_planted, read_items
from compliance.judge.prompt import Duty, render_prompt, secret_of
from compliance.judge_file import quick_judge
from compliance.lexical import fit_isotonic, hedge_density, leave_one_group_out, to_scores
from compliance.llm.fake import FakeModel, Request, Say, transport
from compliance.llm.panel import open_panel
from compliance.llm.stand_in import stand_in
from compliance.quotes import locate

ITEMS = shipped_dataset().items


def asked(duty: Duty, part: str) -> dict[str, object]:
    """Return what the stand-in says, held to the form of an answer."""
    secret = secret_of(7, "0" * 64, duty.id, 0)
    said = stand_in(Request(render_prompt(duty, part, secret), {"seed": 7}, {}))
    assert isinstance(said, Say)
    parse_answer(json.loads(said.text), secret.code)
    found: dict[str, object] = json.loads(said.text)
    return found


def test_its_score_of_an_excerpt_is_the_fit_on_the_other_uses_and_no_better_than_the_baseline() -> None:
    density, reference = [hedge_density(item.text or "") for item in ITEMS], [item.reference for item in ITEMS]
    expected = to_scores(leave_one_group_out(density, reference, [item.use for item in ITEMS]))
    scores = [int(str(asked(article_duty(item.article), item.text or "")["score"])) for item in ITEMS]
    assert scores == list(expected)
    on_itself = to_scores(fit_isotonic(density, reference)(density))
    flattered, honest = quadratic_weighted_kappa(on_itself, reference), quadratic_weighted_kappa(scores, reference)
    assert flattered is not None
    assert honest is not None
    assert honest < flattered - 0.03


def test_its_score_of_another_text_is_the_fit_on_all_excerpts() -> None:
    fitted = fit_isotonic([hedge_density(item.text or "") for item in ITEMS], [item.reference for item in ITEMS])
    for item in ITEMS[::7]:
        changed = f"{item.text} Nothing else is planned."
        expected = int(to_scores(fitted(hedge_density(changed))))
        assert asked(article_duty(item.article), changed)["score"] == expected


def test_its_quotes_stand_in_the_part() -> None:
    for item in ITEMS[:12]:
        for quote in asked(article_duty(item.article), item.text or "")["quotes"]:  # type: ignore[attr-defined]
            assert locate(quote, item.text or "") is not None


@pytest.mark.parametrize("decoy", DECOYS, ids=lambda decoy: decoy.id)
def test_it_finds_no_decoy_met(decoy: Duty) -> None:
    assert {asked(decoy, item.text or "")["answer"] for item in ITEMS[::6]} == {"insufficient_evidence"}


def test_what_is_no_question_of_the_judge_gets_no_answer() -> None:
    said = stand_in(Request(({"role": "user", "content": "Are you there?"},), {}, {}))
    assert isinstance(said, Say)
    assert not said.text.startswith("{")


def test_it_is_not_admitted() -> None:
    async def read() -> dict[str, int | None]:
        judge_file = quick_judge("http://127.0.0.1:8080/v1", "scripted-stand-in")
        async with open_panel(
            judge_file, Path(), consent=(), classification="public", transport=transport(FakeModel(stand_in))
        ) as panel:
            settings.append(panel.members[0].settings)
            readings = await read_items(panel.members[0], ITEMS, samples=1, seed=7)
        return {reading.id: reading.score for reading in readings}

    settings: list[object] = []
    scores = asyncio.run(read())
    fingerprint = reader_fingerprint(settings[0], {"fake"}, ())  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    found = calibrate(shipped_dataset(), scores, on=date(2026, 11, 21), rng=rng, fingerprint=fingerprint, resamples=200)
    assert found.status == "not_admitted"
    assert "false_compliant" in found.reasons


def test_a_planted_pair_is_a_gap_and_a_sound_excerpt_of_one_article_whatever_the_order() -> None:
    for seed in range(20):
        pairs = draw_planted(ITEMS, ARTICLES, pairs=5, seed=seed)
        assert [(gap.article, sound.article) for gap, sound in pairs] == [(a, a) for a in ARTICLES]
        assert all(gap.reference <= 2 and sound.reference == 5 for gap, sound in pairs)
        assert pairs == draw_planted(ITEMS[::-1], ARTICLES[::-1], pairs=5, seed=seed)
        [one] = draw_planted(ITEMS, ARTICLES, pairs=1, seed=seed)
        assert one in pairs
    drawn = [draw_planted(ITEMS, (), pairs=5, seed=seed) for seed in range(20)]
    assert {len(pairs) for pairs in drawn} == {1}  # where no measured article is asked about, once
    assert len({gap.id for [(gap, _)] in drawn}) > 5
