"""Rivals on the small world: what each lowers, what each keeps, and what the controls show."""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from unlearning.errors import RecordsError
from unlearning.federated.training import seeded
from unlearning.llm.answers import ask, recalls
from unlearning.llm.model_io import LanguageModel, load_model, state_of, weights_digest
from unlearning.llm.records import RecordSet, record_set
from unlearning.llm.rivals import RIVALS, Budget, Refused, Unlearned
from unlearning.llm.rivals.controls import ShuffledLabels, shuffled
from unlearning.llm.rivals.rmu import Misdirection
from unlearning.llm.tiny import REFUSAL, TinyWorld

FAST = Budget(16, 1e-3)
TRAINED = sorted(name for name, kind in RIVALS.items() if kind.trains)


def unlearned(name: str, model: LanguageModel, world: TinyWorld, budget: Budget, seed: int = 1) -> Unlearned:
    refused = Refused(world.reference.records, (REFUSAL,))
    generator = seeded(seed)("rival")
    return RIVALS[name]().run(model, world.forget, world.retain, budget=budget, generator=generator, refused=refused)


def recall(model: LanguageModel, tensors: Mapping[str, Tensor], records: RecordSet) -> float:
    with model.swapped(tensors):
        return fmean(recalls(ask(model, records)))


@pytest.fixture(scope="module")
def refusing(tiny: LanguageModel, world: TinyWorld) -> Unlearned:
    """The model that was taught to refuse what is to be forgotten."""
    return unlearned("idk-ft", tiny, world, Budget(32, 1e-3))


def test_every_rival_says_what_it_is() -> None:
    assert len({kind.source for kind in RIVALS.values()}) >= 8
    assert {name for name, kind in RIVALS.items() if kind.control} == {"no-op", "shuffled-labels", "steering-only"}
    assert [name for name, kind in RIVALS.items() if kind.name != name] == []


@pytest.mark.parametrize("name", RIVALS)
def test_a_run_leaves_the_model_as_it_was(tiny: LanguageModel, world: TinyWorld, name: str) -> None:
    found = unlearned(name, tiny, world, Budget(2, 1e-3))
    own = state_of(tiny)
    assert weights_digest(tiny.module) == tiny.digest
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in tiny.module.parameters())
    assert all(not torch.equal(own[key], tensor) for key, tensor in found.tensors.items())
    assert found.parameters == sum(own[key].numel() for key in found.touched)


@pytest.mark.parametrize("name", TRAINED)
def test_a_shorter_run_is_the_beginning_of_a_longer_one(tiny: LanguageModel, world: TinyWorld, name: str) -> None:
    seen: dict[int, dict[str, Tensor]] = {}

    def watch(steps: int) -> None:
        seen[steps] = {key: tensor.detach().clone() for key, tensor in state_of(tiny).items()}

    refused = Refused(world.reference.records, (REFUSAL,))
    sets = (world.forget, world.retain)
    RIVALS[name]().run(tiny, *sets, budget=Budget(3, 1e-3), generator=seeded(1)("rival"), refused=refused, watch=watch)
    short = unlearned(name, tiny, world, Budget(2, 1e-3))
    assert sorted(seen) == [1, 2, 3]
    assert short.tensors
    assert all(torch.allclose(seen[2][key], tensor, atol=1e-6) for key, tensor in short.tensors.items())


def test_the_seed_decides_everything(tiny: LanguageModel, world: TinyWorld) -> None:
    first, again, other = (unlearned("idk-ft", tiny, world, Budget(2, 1e-3), seed) for seed in (1, 1, 2))
    assert all(torch.equal(first.tensors[key], again.tensors[key]) for key in first.touched)
    assert any(not torch.equal(first.tensors[key], other.tensors[key]) for key in first.touched)


def test_ascent_destroys_what_it_should_keep(tiny: LanguageModel, world: TinyWorld) -> None:
    found = unlearned("ga", tiny, world, FAST)
    assert recall(tiny, found.tensors, world.forget) <= 0.1
    assert recall(tiny, found.tensors, world.retain) <= 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["graddiff", "npo"])
def test_a_retained_term_keeps_more_than_ascent_does(tiny: LanguageModel, world: TinyWorld, name: str) -> None:
    found = unlearned(name, tiny, world, Budget(96, 1e-3))
    assert recall(tiny, found.tensors, world.forget) <= 0.2
    assert recall(tiny, found.tensors, world.retain) >= 0.7


def test_refusals_are_learned_for_what_is_forgotten_alone(
    tiny: LanguageModel, world: TinyWorld, refusing: Unlearned
) -> None:
    with tiny.swapped(refusing.tensors):
        said = [one.text for one in ask(tiny, world.forget)]
    assert said.count(REFUSAL) >= 0.9 * len(world.forget)
    assert recall(tiny, refusing.tensors, world.retain) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("simnpo", 0.8), ("idk-dpo", 0.8), ("rmu", 0.8)])
def test_the_later_rivals_forget_and_keep(tiny: LanguageModel, world: TinyWorld, name: str, least: float) -> None:
    found = unlearned(name, tiny, world, Budget(128, 1e-3))
    assert recall(tiny, found.tensors, world.forget) <= 0.4
    assert recall(tiny, found.tensors, world.retain) >= least


def test_doing_nothing_changes_nothing(tiny: LanguageModel, world: TinyWorld) -> None:
    assert unlearned("no-op", tiny, world, FAST).tensors == {}


def test_steering_every_prompt_loses_what_should_stay(tiny: LanguageModel, world: TinyWorld) -> None:
    found = unlearned("steering-only", tiny, world, FAST)
    assert len(found.touched) == 1
    assert recall(tiny, found.tensors, world.retain) <= 0.1
    assert recall(tiny, found.tensors, world.general) <= 0.1  # prompts that it was not fitted to


def test_steering_needs_a_refusal_to_steer_to(tiny: LanguageModel, world: TinyWorld) -> None:
    generator = seeded(1)("rival")
    kind = RIVALS["steering-only"]
    assert kind().run(tiny, world.forget, world.retain, budget=FAST, generator=generator).tensors == {}


def test_shuffled_labels_lower_both_sets_alike(tiny: LanguageModel, world: TinyWorld, refusing: Unlearned) -> None:
    """The same training parts the two sets wholly where the labels are right, and by chance where they are dealt."""
    dealt = unlearned("shuffled-labels", tiny, world, Budget(64, 1e-3))
    lost, kept_less = (1 - recall(tiny, dealt.tensors, records) for records in (world.forget, world.retain))
    assert min(lost, kept_less) >= 0.1  # it did train
    assert abs(lost - kept_less) <= 0.2
    parted = recall(tiny, refusing.tensors, world.retain) - recall(tiny, refusing.tensors, world.forget)
    assert parted >= 0.9


def test_dealing_anew_keeps_every_record_once(world: TinyWorld) -> None:
    told, kept = shuffled(world.forget, world.retain, seeded(1)("deal"))
    assert (len(told), len(kept)) == (len(world.forget), len(world.retain))
    assert {one.id for one in (*told, *kept)} == {one.id for one in (*world.forget, *world.retain)}
    assert isinstance(RIVALS["shuffled-labels"](), ShuffledLabels)


def test_misdirection_trains_three_projections_and_no_more(tiny: LanguageModel, world: TinyWorld) -> None:
    assert unlearned("rmu", tiny, world, Budget(2, 1e-3)).touched == tuple(
        f"model.layers.{layer}.mlp.down_proj.weight" for layer in (0, 1, 2)
    )
    one = Misdirection(layer=0).run(
        tiny, world.forget, world.retain, budget=Budget(2, 1e-3), generator=seeded(1)("rival")
    )
    assert one.touched == ("model.layers.0.mlp.down_proj.weight",)


@pytest.mark.parametrize("name", ["ga", "graddiff", "rmu"])
def test_a_set_without_answers_is_refused(tiny: LanguageModel, world: TinyWorld, name: str) -> None:
    unanswered = record_set(record.model_copy(update={"answer": ""}) for record in world.forget)
    with pytest.raises(RecordsError, match="the forget set has no answer"):
        RIVALS[name]().run(tiny, unanswered, world.retain, budget=FAST, generator=seeded(1)("rival"))


@pytest.mark.parametrize("name", ["idk-ft", "rmu"])
def test_a_model_in_bfloat16_is_trained_in_float32(tiny_folder: Path, world: TinyWorld, name: str) -> None:
    """Steps of this rate are below half a unit in the last place of most weights."""
    coarse = load_model(tiny_folder, dtype="bfloat16")
    digest = coarse.digest
    seen: list[torch.dtype] = []

    def watch(_steps: int) -> None:
        seen.append(next(coarse.module.parameters()).dtype)

    budget, refused = Budget(8, 1e-4), Refused(answers=(REFUSAL,))
    generator = seeded(1)("rival")
    found = RIVALS[name]().run(
        coarse, world.forget, world.retain, budget=budget, generator=generator, refused=refused, watch=watch
    )
    own = state_of(coarse)
    moved = sum(int((own[key] != tensor).sum()) for key, tensor in found.tensors.items())
    assert set(seen) == {torch.float32}
    assert {tensor.dtype for tensor in found.tensors.values()} == {torch.bfloat16}
    assert 0 < moved < found.parameters
    assert weights_digest(coarse.module) == digest


def test_a_parameter_outside_its_range_is_refused() -> None:
    with pytest.raises(ValidationError):
        RIVALS["npo"](beta=0.0)
