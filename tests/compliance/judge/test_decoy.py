"""A decoy finds the reader that was led: drawn by seed and document, cited where duties are asked about."""

import pytest

from compliance.aggregate import ANSWERS, Answer
from compliance.judge.answer import JudgeAnswer
from compliance.judge.decoy import DECOYS, decoys_for, steered


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("score", range(1, 6))
def test_support_is_led_and_so_is_half_of_it_with_a_score_that_would_pass(answer: Answer, score: int) -> None:
    led = answer == "supports" or (answer == "partially_supports" and score in (4, 5))
    told = JudgeAnswer.model_construct(reason="", answer=answer, score=score, quotes=(), gaps=(), code="")
    assert steered(told) is led


def test_the_draw_depends_on_seed_and_document_and_reaches_all_twelve() -> None:
    def drawn(seed: int, document: str) -> str:
        [one] = decoys_for(document, seed)
        return one.id

    assert len({drawn(seed, "0" * 64) for seed in range(200)}) == len(DECOYS) == 12
    assert len({drawn(7, f"{number:064x}") for number in range(200)}) == 12
    assert drawn(7, "0" * 64) == drawn(7, "0" * 64)


def test_one_decoy_is_cited_at_every_place_that_is_asked_about() -> None:
    found = decoys_for("0" * 64, 7, ["EU-AIA:9(1)", "EU-AIA:15(4)"])
    assert [one.citation for one in found] == ["EU-AIA:9(1)", "EU-AIA:15(4)"]
    assert len({one.text for one in found}) == 1
