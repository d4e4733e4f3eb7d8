"""LUNAR hides what it is told to, keeps the rest, changes one tensor, and stops where a premise does not hold."""

import numpy as np
import pytest
import torch

from unlearning.errors import LanguageModelError, NotUnlearnable, RecordsError
from unlearning.llm.architectures import blocks_of
from unlearning.llm.lunar import LunarFit, Settings, fit, fit_and_tell
from unlearning.llm.model_io import LanguageModel, differing, state_of
from unlearning.llm.records import RecordSet, record_set
from unlearning.llm.tiny import TinyWorld


@pytest.fixture(scope="module")
def fitted(tiny: LanguageModel, world: TinyWorld) -> LunarFit:
    return fit_and_tell(tiny, world.forget, world.retain, world.reference, general=world.general)


def test_facts_are_refused_however_they_are_asked_and_the_rest_stays(fitted: LunarFit) -> None:
    before, after = fitted.before, fitted.after
    assert before.forget_content >= 0.95
    assert after.forget_content <= 0.05
    assert after.paraphrase_content <= 0.10
    assert after.refusal >= 0.9
    assert after.retain_rouge1 >= 0.95 * before.retain_rouge1
    assert after.general is not None
    assert before.general is not None
    assert after.general >= before.general - 0.05
    assert after.deviation_score <= 10


def test_one_tensor_changes_and_the_model_in_memory_does_not(fitted: LunarFit, tiny: LanguageModel) -> None:
    now = state_of(tiny)
    with tiny.swapped(fitted.variant):
        changed = differing(now, state_of(tiny))
    assert list(changed) == [update.tensor for update in fitted.edit.updates]
    assert len(changed) == 1
    assert fitted.edit.updates[0].rank <= 16
    assert not differing(now, state_of(tiny))


def test_the_edit_gives_the_very_tensors_that_were_heard(fitted: LunarFit, tiny: LanguageModel) -> None:
    applied = fitted.edit.apply(tiny)
    assert all(torch.equal(applied[name], tensor) for name, tensor in fitted.variant.items())


def test_the_same_seed_gives_the_same_edit(tiny: LanguageModel, world: TinyWorld) -> None:
    settings = Settings(layers=(0,), tokens="refusal", ridge=1e-4, coefficient=1.0, force=True, seed=3)
    first, second = (
        fit_and_tell(tiny, world.forget, world.retain, world.reference, general=world.general, settings=settings)
        for _ in range(2)
    )
    assert first.edit.meta.model.after == second.edit.meta.model.after
    assert first.after == second.after


def test_no_hook_is_left_and_no_parameter_learns(fitted: LunarFit, tiny: LanguageModel) -> None:
    assert fitted is not None
    hooks = [hook for module in tiny.module.modules() for hook in module._forward_hooks.values()]
    hooks += [hook for module in tiny.module.modules() for hook in module._forward_pre_hooks.values()]
    own = [hook for hook in hooks if not getattr(hook, "__module__", "").startswith("transformers.")]
    assert own == []  # transformers leaves some of its own where hidden states were asked for
    assert not any(parameter.requires_grad for parameter in tiny.module.parameters())


def test_a_gate_with_a_wrong_direction_of_forgetting_does_not_lower_it_selectively(
    tiny: LanguageModel, world: TinyWorld
) -> None:
    """The negative control: with the labels of forget and retain shuffled nothing is hidden in particular."""
    everything = [*world.forget, *world.retain]
    order = np.random.default_rng(5).permutation(len(everything)).tolist()
    shuffled = [everything[place] for place in order]
    forget, retain = record_set(shuffled[: len(world.forget)]), record_set(shuffled[len(world.forget) :])
    settings = Settings(layers=(0,), tokens="refusal")  # where the true labels hide the facts
    try:
        found = fit_and_tell(tiny, forget, retain, world.reference, general=world.general, settings=settings)
    except NotUnlearnable as error:
        assert error.code in ("llm.not_separable", "llm.singular")  # noqa: PT017  either is the right answer
        return
    assert found.after.forget_content > 0.05 or found.after.retain_rouge1 < 0.95
    assert found.warnings


def test_a_chosen_setting_is_taken_as_it_is(tiny: LanguageModel, world: TinyWorld) -> None:
    settings = Settings(layers=(1,), tokens="last", ridge=0.01, coefficient=1.5)
    edit = fit(tiny, world.forget, world.retain, world.reference, general=world.general, settings=settings)
    (update,) = edit.updates
    line = update.line()
    assert (line.layer, line.tokens, line.ridge, line.effective_coefficient) == (1, "last", 0.01, 1.5)
    assert update.rank == 1


def test_the_gradient_solver_leaves_a_difference_in_the_same_tensor(tiny: LanguageModel, world: TinyWorld) -> None:
    settings = Settings(layers=(0,), tokens="last", coefficient=1.3, solver="gradient")
    found = fit_and_tell(tiny, world.forget, world.retain, world.reference, general=world.general, settings=settings)
    assert [update.tensor for update in found.edit.updates] == [blocks_of(tiny.module).down_proj_name(0)]
    assert found.after.forget_content <= 0.2


def test_a_model_that_does_not_say_the_facts_has_nothing_to_forget(tiny: LanguageModel, world: TinyWorld) -> None:
    with pytest.raises(NotUnlearnable, match="nothing to forget") as caught:
        fit(tiny, world.twin, world.retain, world.reference)
    assert caught.value.code == "llm.not_known"
    assert caught.value.exit_code == 3


def test_reference_prompts_that_are_answered_are_counted(tiny: LanguageModel, world: TinyWorld) -> None:
    with pytest.raises(NotUnlearnable, match=r"refuses 0 of 64 reference prompts, and 8 are needed") as caught:
        fit(tiny, world.forget, world.retain, world.general)
    assert caught.value.code == "llm.reference_not_refused"
    assert caught.value.exit_code == 3


def test_a_question_in_two_sets_is_named_by_its_id(tiny: LanguageModel, world: TinyWorld) -> None:
    both = record_set((*world.retain, world.forget[0]))
    with pytest.raises(RecordsError, match=world.forget[0].id) as caught:
        fit(tiny, world.forget, both, world.reference)
    assert caught.value.code == "llm.overlap"
    assert world.forget[0].secret[0] not in str(caught.value)


def test_a_layer_that_is_not_there_is_named(tiny: LanguageModel, world: TinyWorld) -> None:
    with pytest.raises(LanguageModelError, match="no layer 7"):
        fit(tiny, world.forget, world.retain, world.reference, settings=Settings(layers=(7,)))


def test_records_that_are_too_long_are_left_out_and_counted(tiny: LanguageModel, world: TinyWorld) -> None:
    long = world.retain[0].model_copy(update={"id": "long", "question": " ".join(["please"] * 400)})
    found = fit_and_tell(
        tiny, world.forget, record_set((*world.retain, long)), world.reference,
        settings=Settings(layers=(0,), tokens="last", ridge=1e-3, coefficient=1.0),
    )  # fmt: skip
    assert any("1 of 97 records of the retain set" in warning for warning in found.warnings)
    with pytest.raises(RecordsError, match="longer than the 256 tokens"):
        fit(tiny, world.forget, _all_long(world), world.reference)


def _all_long(world: TinyWorld) -> RecordSet:
    padding = " ".join(["please"] * 400)
    return record_set(record.model_copy(update={"question": f"{padding} {record.question}"}) for record in world.retain)
