"""Readers that give an excerpt the score they are told to, in the form of the judge; the rest the stand-in writes."""

import json
from collections.abc import Callable

from compliance.aireg import Item, shipped_dataset
from compliance.llm.fake_model import Request, Say, Step
from compliance.llm.stand_in import stand_in

Scored = Callable[[Item], "int | None"]


def reader(scored: Scored) -> Callable[[Request], Step]:
    """Return what answers with `scored` of the shipped excerpt it is asked about; None is prose, which is no answer."""
    by_text = {item.text or "": item for item in shipped_dataset().items}

    def answer(request: Request) -> Step:
        item = next(item for text, item in by_text.items() if text in str(request.messages[1]["content"]))
        drafted, score = stand_in(request), scored(item)
        assert isinstance(drafted, Say)
        if score is None:
            return Say("It all looks fine to me.")
        told = json.loads(drafted.text) | {"score": score, "answer": "insufficient_evidence"}
        return Say(json.dumps(told))

    return answer


def expert(item: Item) -> int:
    """Say what the experts' lower median is."""
    return item.reference
