"""Rounds behind a model: as its transcript counts them, and as its method takes them."""

from typing import Any

import pytest

from unlearning.federated.methods import METHODS, method
from unlearning.federated.oracles import Questions
from unlearning.federated.request import UnlearningRequest, split
from unlearning.federated.schedule import Rounds, delivered_rounds, matched_rounds
from unlearning.federated.transcript import Round


def lines(*phases: str) -> tuple[Round, ...]:
    """Lines of a transcript with these phases."""
    return tuple(
        Round.model_validate({"index": place, "phase": phase, "participants": [1], "model": "0" * 64, "work": 1})
        for place, phase in enumerate(phases, start=1)
    )


def test_max_phases_and_rounds_after_the_kept_one_do_not_count() -> None:
    told = lines("max", "min", "max", "min", "max", "min", "post", "post")
    assert delivered_rounds(told, None) == Rounds(min=3, post=2)
    assert delivered_rounds(told, 1) == Rounds(min=1, post=2)
    assert delivered_rounds(lines("train", "train"), None) == Rounds(train=2)
    assert str(Rounds(min=3, post=2)) == "3 min and 2 post rounds"
    assert str(Rounds()) == "no round"


@pytest.mark.parametrize("name", METHODS)
def test_a_rehearsal_counts_the_rounds_that_a_matched_run_takes(scenes: Any, name: str) -> None:
    """The oracle is the run itself, on the sequential engine."""
    federation = scenes.federation()
    how = method(name)
    counted: dict[str, int] = {}

    def watch(note: Any) -> None:
        counted[note.kind] = counted.get(note.kind, 0) + 1

    sequential, _ = scenes.engines(federation, 7)
    setting = scenes.asked(sequential, watch=watch)
    how.control(setting, 2)
    asked = split(federation.data, UnlearningRequest.client(0))
    found = matched_rounds(Questions(federation, asked, how, 2, unlabelled=federation.data.holdout))
    assert found == Rounds(*(counted.get(kind, 0) for kind in ("train", "min", "post")))


def test_a_method_that_lacks_something_has_no_count(scenes: Any) -> None:
    federation = scenes.federation()
    asked = split(federation.data, UnlearningRequest.client(0))
    everyone = frozenset(range(1, len(federation.data.clients)))
    assert matched_rounds(Questions(federation, asked, method("finetune"), None, everyone)) is None
