"""More than one layer: the best first, then what is heard to help; nothing is lost by asking for more."""

import pytest
import torch

from unlearning.llm.lunar import LunarFit, Settings, fit_and_tell
from unlearning.llm.model_io import LanguageModel
from unlearning.llm.records import record_set
from unlearning.llm.selection import objective
from unlearning.llm.tiny import TinyWorld


def fitted(model: LanguageModel, world: TinyWorld, top_layers: int) -> LunarFit:
    settings = Settings(
        layers=(0, 1), top_layers=top_layers, tokens="refusal", ridge=1e-3, coefficient=1.15, force=True
    )
    few = {
        name: record_set(getattr(world, name).records[-24:]) for name in ("forget", "retain", "general", "reference")
    }
    return fit_and_tell(
        model, few["forget"], few["retain"], few["reference"], general=few["general"], settings=settings
    )


@pytest.fixture(scope="module")
def both(tiny: LanguageModel, world: TinyWorld) -> tuple[LunarFit, LunarFit]:
    return fitted(tiny, world, 1), fitted(tiny, world, 2)


def test_the_first_layer_is_the_one_that_is_edited_alone(both: tuple[LunarFit, LunarFit]) -> None:
    one, two = both
    assert len(one.edit.updates) == 1
    assert torch.equal(one.edit.updates[0].delta(), two.edit.updates[0].delta())


def test_another_layer_never_makes_it_worse(both: tuple[LunarFit, LunarFit]) -> None:
    one, two = both
    assert objective(two.before, two.after) <= objective(one.before, one.after)
    layers = [update.layer for update in two.edit.updates]
    assert len(set(layers)) == len(layers)
    left_out = [told for told in two.warnings if "was left as it is" in told]
    assert len(layers) + len(left_out) == 2  # what was not taken is said


def test_the_edit_gives_the_very_tensors_that_were_heard(both: tuple[LunarFit, LunarFit], tiny: LanguageModel) -> None:
    edit = both[1].edit
    applied = edit.apply(tiny)
    assert applied.keys() == both[1].variant.keys()
    assert all(torch.equal(applied[name], tensor) for name, tensor in both[1].variant.items())
    with tiny.swapped(applied):
        back = edit.revert({name: one.data for name, one in tiny.module.named_parameters()})
    own = dict(tiny.module.named_parameters())
    assert all(torch.equal(own[name].data, tensor) for name, tensor in back.items())


def test_a_later_request_may_edit_every_layer_that_has_sums(both: tuple[LunarFit, LunarFit]) -> None:
    edit = both[1].edit
    assert edit.forgotten is not None
    assert list(edit.forgotten.layers) == sorted(update.layer for update in edit.updates)
