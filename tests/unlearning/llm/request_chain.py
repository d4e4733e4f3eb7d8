"""A model that is asked to forget one thing after the other, as its owner would do it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from unlearning.llm.answers import ask, recalls
from unlearning.llm.edit import LunarEdit
from unlearning.llm.hooks import collect
from unlearning.llm.lunar import Settings, fit
from unlearning.llm.material import own_refusals
from unlearning.llm.model_io import LanguageModel, state_of
from unlearning.llm.passages import forget_passages
from unlearning.llm.records import RecordSet, record_set
from unlearning.llm.refusal import load_refusals
from unlearning.llm.tiny import TinyWorld


def parts_of(world: TinyWorld, most: int = 32) -> list[RecordSet]:
    """Return four requests, a clan each: both of the forget set, and two of the three that are otherwise to stay."""
    records = [*world.forget, *world.retain]
    return [record_set(records[start : start + most]) for start in range(0, 128, 32)]


class Chain:
    """A model and the edits that were applied to it, each on top of the one before."""

    def __init__(
        self, model: LanguageModel, world: TinyWorld, *, settings: Settings | None = None, few: bool = False
    ) -> None:
        """Take a model; with `few`, little of its world is asked about, which takes a tenth of the time."""
        self.model, self.world, self.settings, self.few = model, world, settings, few
        self.parts = parts_of(world, 8 if few else 32)
        self.edits: list[LunarEdit] = []
        self.states = [self._state()]
        self._asked: set[str] = set()

    def forget(self, request: RecordSet) -> None:
        """Forget one thing more; what no request has named is to stay."""
        self._asked |= {record.id for record in request}
        edit = self._edit(request, self.edits, self.model, self.settings)
        parameters = dict(self.model.module.named_parameters())
        for name, tensor in edit.apply(self.model).items():
            parameters[name].data = tensor
        self.model.__dict__.pop("digest", None)  # as a model read anew has none yet
        self.edits.append(edit)
        self.states.append(self._state())

    def next_edit(
        self, previous: Sequence[LunarEdit], *, settings: Settings | None = None, model: LanguageModel | None = None
    ) -> LunarEdit:
        """Return the edit of a third request; nothing is applied."""
        return self._edit(self.parts[2], previous, model or self.model, settings or self.settings)

    def said(self, records: RecordSet) -> float:
        """Return the content recall of the model as it is now."""
        return float(np.mean(recalls(ask(self.model, list(records)))))

    def changed(self) -> dict[str, Tensor]:
        """Return by how much which tensors differ from the model before all requests."""
        pairs = ((name, tensor, self.states[-1][name]) for name, tensor in self.states[0].items())
        return {name: after - before for name, before, after in pairs if not torch.equal(before, after)}

    def rows(self, request: RecordSet) -> Tensor:
        """Return the rows to move of a request in layer 0, read one prompt after the other, (n, m) float64."""
        with self.model.swapped(self.states[0]):
            refusal = own_refusals(self.model, record_set(self.world.reference.records[-12:]), load_refusals()).modal
            prompts = [self.model.prompt(text) for one in request for text in (one.question, *one.paraphrases)]
            found = []
            for passage in forget_passages(prompts, ("refusal",), refusal=refusal):
                role = "forget/refusal"
                found.append(collect(self.model, [passage], [0], reduce={role: "rows"}).rows[role][0].inputs)
        return torch.cat(found).double()

    def _edit(
        self, request: RecordSet, previous: Sequence[LunarEdit], model: LanguageModel, settings: Settings | None
    ) -> LunarEdit:
        gone = self._asked | {record.id for record in request}
        stays = record_set(record for record in self.world.retain if record.id not in gone)
        general, reference = self.world.general, self.world.reference
        if self.few:
            stays, general, reference = (record_set(one.records[-12:]) for one in (stays, general, reference))
        return fit(model, request, stays, reference, general=general, settings=settings, previous=previous)

    def _state(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in state_of(self.model).items()}
