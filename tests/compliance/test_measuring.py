"""Asking a reader about the rated items: its scores, its fingerprint, and what it left unanswered."""

import asyncio
from pathlib import Path
from typing import Any

from compliance.aireg import Dataset, Item, shipped_dataset
from compliance.judge.answer import SCHEMA_SHA256
from compliance.judge.prompt import PROMPT_SHA256
from compliance.judge_file import JudgeFile, Member
from compliance.llm.fake import FakeModel, transport
from compliance.llm.fake_model import Status
from compliance.llm.panel import open_panel
from compliance.measuring import Measured, measure
from tests.compliance.scripted_readers import expert, reader

FEW = shipped_dataset().first(6)


def judge(members: int = 1, **more: Any) -> JudgeFile:
    named = [Member(name=f"m{i}", base_url="http://127.0.0.1:8080/v1", model=f"model-{i}") for i in range(members)]
    return JudgeFile(members=tuple(named), **more)


def measured(model: FakeModel, judge: JudgeFile, dataset: Dataset = FEW, *, samples: int = 1) -> Measured:
    async def ask() -> Measured:
        asked = open_panel(judge, Path(), consent=(), classification="public", transport=transport(model))
        async with asked as panel:
            return await measure(dataset, panel, samples=samples, seed=7)

    return asyncio.run(ask())


def test_the_scores_are_those_that_the_reader_gave() -> None:
    found = measured(FakeModel(reader(expert)), judge())
    assert found.scores == {item.id: item.reference for item in FEW.items}
    assert (found.invalid, found.not_asked, found.errors) == (frozenset(), frozenset(), ())


def test_the_fingerprint_says_who_was_asked_and_how() -> None:
    model = FakeModel(reader(expert), name="fake-2026", system_fingerprint="fp_7")
    found = measured(model, judge(temperature=0.5, max_tokens=600)).fingerprint
    assert (found.model, found.reply_model, found.system_fingerprint) == ("model-0", "fake-2026", "fp_7")
    assert (found.host, found.temperature, found.top_p, found.max_tokens) == ("127.0.0.1:8080", 0.5, 1.0, 600)
    assert (found.prompt_sha256, found.schema_sha256) == (PROMPT_SHA256, SCHEMA_SHA256)
    assert found.dataset_sha256 == FEW.sha256


def test_prose_is_an_invalid_answer_and_no_score() -> None:
    silent = FEW.items[2].id
    found = measured(FakeModel(reader(lambda item: None if item.id == silent else 3)), judge())
    assert found.invalid == {silent}
    assert found.scores[silent] is None
    assert [found.scores[item.id] for item in FEW.items].count(3) == 5


def test_what_a_budget_leaves_out_was_not_asked() -> None:
    found = measured(FakeModel(reader(expert)), judge(budget={"requests": 4}))
    assert len(found.not_asked) == 2
    assert found.invalid == frozenset()
    assert sum(score is not None for score in found.scores.values()) == 4


def test_an_endpoint_that_fails_is_told_once() -> None:
    found = measured(FakeModel(lambda _: Status(401)), judge())
    assert [error.code for error in found.errors] == ["endpoint.unauthorised"]
    assert len(found.not_asked) == 6


def test_a_panel_scores_the_lower_median_where_all_its_members_answer() -> None:
    silent = FEW.items[0].id
    turns = {"model-0": 1, "model-1": 4}

    def answer(request: Any) -> Any:
        model = str(request.body["model"])
        return reader(lambda item: None if item.id == silent and model == "model-1" else turns[model])(request)

    found = measured(FakeModel(answer), judge(2))
    assert found.rater == found.fingerprint.model == "model-0 + model-1"
    assert set(found.raters) == {"m0", "m1"}
    assert found.scores == {item.id: None if item.id == silent else 1 for item in FEW.items}
    assert found.invalid == {silent}


def test_an_item_that_one_member_garbled_and_another_never_saw_was_not_asked() -> None:
    prose = reader(lambda _: None)

    def answer(request: Any) -> Any:
        return prose(request) if request.body["model"] == "model-0" else Status(401)

    found = measured(FakeModel(answer), judge(2), FEW.first(2))
    assert found.not_asked == {item.id for item in FEW.items[:2]}
    assert found.invalid == frozenset()


def test_several_samples_count_by_their_lower_median() -> None:
    given = iter(range(100))

    def every_other(item: Item) -> int:
        return 5 if next(given) % 2 else 2

    found = measured(FakeModel(reader(every_other)), judge(), FEW.first(1), samples=2)
    assert list(found.scores.values()) == [2]
