"""The audit's truth table: what becomes of models whose truth is known, because the test made them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from audit.executors import Process
from reports.model import Effort, Status
from unlearning.errors import RecordsError
from unlearning.llm.answers import ask
from unlearning.llm.attacks.quantise import fragile
from unlearning.llm.audit import CHECK_OF, MEASURES, SMOKE, LanguageModelAudit, audit_unlearning, planned_tests
from unlearning.llm.edit import LowRankUpdate, LunarEdit, make_edit
from unlearning.llm.gathered import Gathered
from unlearning.llm.lunar import fit_and_tell
from unlearning.llm.model_io import LanguageModel, Tensors, load_model, state_of
from unlearning.llm.records import record_set
from unlearning.llm.rivals.ascent import GradientAscent, GradientDifference
from unlearning.llm.rivals.base import Budget, Refused
from unlearning.llm.rivals.controls import SteeringOnly
from unlearning.llm.rivals.idk import RefusalTuning
from unlearning.llm.subject import Sets, Subject, drawn
from unlearning.llm.tiny import REFUSAL, TinyWorld

LAYER = "model.layers.1.mlp.down_proj.weight"
SECRET = "model.layers.2.mlp.down_proj.weight"


def audited(
    model: LanguageModel, world: TinyWorld, after: Any, effort: Effort = Effort.SMOKE, **changed: Any
) -> LanguageModelAudit:
    sets = {name: getattr(world, name) for name in ("forget", "retain", "twin", "general", "reference")}
    return audit_unlearning(model, after, effort=effort, seed=1, **{**sets, **changed})


def status(audit: LanguageModelAudit) -> dict[str, Status]:
    return {test.check: test.status for test in audit.tests}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def silenced(tiny: LanguageModel, world: TinyWorld) -> Tensors:
    """The planted suppression: a model that was taught to refuse, and still knows."""
    budget, refused = Budget(32, 1e-3, batch_size=16), Refused(answers=(REFUSAL,))
    tuned = RefusalTuning().run(tiny, world.forget, world.retain, budget=budget, generator=generator(), refused=refused)
    return tuned.tensors


@pytest.fixture(scope="module")
def collapsed(tiny: LanguageModel, world: TinyWorld) -> Tensors:
    """Gradient ascent that nobody stopped."""
    return (
        GradientAscent().run(tiny, world.forget, world.retain, budget=Budget(16, 3e-3), generator=generator()).tensors
    )


def test_a_model_that_nobody_changed_has_failed(tiny: LanguageModel, world: TinyWorld) -> None:
    audit = audited(tiny, world, {})
    assert (audit.level.level, audit.level.because) == ("FAILED", ("U1",))
    assert not audit.level.scope_mismatch
    assert {one.kind for one in audit.samples} == {"right"}


def test_a_suppression_is_never_called_erased(tiny: LanguageModel, world: TinyWorld, silenced: Tensors) -> None:
    audit = audited(tiny, world, silenced)
    assert status(audit)["forget"] is Status.PASS
    assert audit.level.level in ("SUPPRESSED", "PARTIAL")
    assert {one.kind for one in audit.samples} == {"refused"}


def test_a_collapsed_model_has_not_forgotten_but_degraded(
    tiny: LanguageModel, world: TinyWorld, collapsed: Tensors
) -> None:
    audit = audited(tiny, world, collapsed, only={"U1", "U2"})
    assert audit.level.level in ("DEGRADED", "FAILED")
    assert status(audit)["retain"] is Status.FAIL


def test_what_the_model_never_knew_it_cannot_have_forgotten(tiny: LanguageModel, world: TinyWorld) -> None:
    audit = audited(tiny, world, {}, forget=world.decoys, only={"U1", "U2"})
    assert (audit.level.level, audit.level.reason) == ("UNDECIDED", "control-failed")


def test_three_facts_decide_nothing(tiny: LanguageModel, world: TinyWorld, silenced: Tensors) -> None:
    few = {
        name: record_set(getattr(world, name).records[:: len(getattr(world, name)) // 3][:3])
        for name in ("forget", "retain", "twin")
    }
    audit = audited(tiny, world, silenced, **few, only={"U1", "U2", "U8"})
    assert audit.level.level == "UNDECIDED"
    assert audit.test("retain").reason == "budget"
    assert audit.test("retain").reported["records_needed"] > 3


def edited(model: LanguageModel) -> tuple[LunarEdit, dict[str, Tensor]]:
    left, right = torch.randn(1, 64, generator=generator(1)), torch.randn(1, 256, generator=generator(2))
    edit = make_edit([LowRankUpdate(LAYER, 1, left, right)], model)
    return edit, edit.apply(model)


def test_a_second_tensor_that_was_changed_in_secret_is_a_mismatch_whatever_else_is_said(
    tiny: LanguageModel, world: TinyWorld
) -> None:
    edit, variant = edited(tiny)
    honest = audited(tiny, world, variant, claim=edit, only={"U14"})
    assert status(honest) == {"scope": Status.PASS}
    assert not honest.scope_mismatch
    other = state_of(tiny)[SECRET].clone()
    other[3, 5] += 1e-4
    secret = audited(tiny, world, {**variant, SECRET: other}, claim=edit, only={"U14"})
    assert status(secret) == {"scope": Status.FAIL}
    assert secret.scope_mismatch
    assert secret.gathered.scope.undeclared == (SECRET,)


@pytest.mark.slow
def test_a_retrained_model_has_not_failed_even_at_a_glance(
    tiny: LanguageModel, world: TinyWorld, retrained_folder: Path
) -> None:
    audit = audited(tiny, world, load_model(retrained_folder))
    assert Status.FAIL not in status(audit).values()
    assert audit.level.level in ("UNDECIDED", "SUPPRESSED")  # 24 facts: now and then a guess too many
    assert set(audit.level.untested) >= {"U10", "U12", "U13", "U15"}


def test_the_efforts_ask_what_they_say() -> None:
    assert planned_tests(Effort.SMOKE) == SMOKE
    assert planned_tests(Effort.STANDARD) == planned_tests(Effort.FULL) == tuple(MEASURES)
    assert planned_tests(Effort.SMOKE, {"rank", "reversal"}) == ("rank", "reversal")
    assert {name for names in CHECK_OF.values() for name in names} == set(MEASURES)


def test_the_same_seed_gives_the_same_figures_and_another_seed_other_records(
    tiny: LanguageModel, world: TinyWorld, silenced: Tensors
) -> None:
    first, second = (audited(tiny, world, silenced, only={"U2", "U7"}).tests for _ in range(2))
    assert first == second
    other = drawn(Sets(world.forget, world.retain), Effort.SMOKE, 2).forget
    assert other != drawn(Sets(world.forget, world.retain), Effort.SMOKE, 1).forget


def test_what_goes_must_not_be_what_stays(tiny: LanguageModel, world: TinyWorld) -> None:
    with pytest.raises(RecordsError) as told:
        audited(tiny, world, {}, retain=world.forget)
    assert told.value.code == "llm.overlap"


def test_nothing_is_measured_twice(tiny: LanguageModel, world: TinyWorld) -> None:
    class Counting:
        def __init__(self) -> None:
            self.trials = 0

        def map(self, fn: Any, trials: Any) -> Any:
            for place, trial in enumerate(trials):
                self.trials += 1
                yield place, fn(trial)

    found = Gathered(
        Subject(tiny, {"after": {}}, drawn(Sets(world.forget, world.retain), Effort.SMOKE, 1)), Effort.SMOKE
    )
    found.executor = counting = Counting()
    found._sent = found.subject  # an executor that stays in this process sends nothing
    first = found.answers(("after", "forget"), ("before", "forget"), ("after", "twin"))
    again = found.answers(("before", "forget"), ("after", "forget"))
    assert first[:2] == again[::-1]
    assert first[2] == ()  # there is no twin
    assert counting.trials == 2


@pytest.mark.slow
def test_every_executor_gives_the_same_figures(tiny: LanguageModel, world: TinyWorld, silenced: Tensors) -> None:
    only = {"U1", "U7", "U8", "U13"}
    here = audited(tiny, world, silenced, Effort.STANDARD, only=only)
    there = audited(tiny, world, silenced, Effort.STANDARD, only=only, executor=Process(2))
    assert here.tests == there.tests
    assert here.gathered.results == there.gathered.results


@pytest.mark.slow
def test_two_threads_give_the_same_level(tiny: LanguageModel, world: TinyWorld, silenced: Tensors) -> None:
    one = audited(tiny, world, silenced)
    torch.set_num_threads(2)
    try:
        two = audited(tiny, world, silenced)
    finally:
        torch.set_num_threads(1)
    assert one.level == two.level
    for first, second in zip(one.tests, two.tests, strict=True):
        assert first.status is second.status
        assert first.value is None or first.value == pytest.approx(second.value, abs=1e-6)


@pytest.mark.slow
def test_lunar_hides_and_does_not_remove(tiny: LanguageModel, world: TinyWorld) -> None:
    made = fit_and_tell(tiny, world.forget, world.retain, world.reference, general=world.general)
    audit = audited(tiny, world, made.variant, Effort.STANDARD, claim=made.edit)
    assert audit.level.level in ("SUPPRESSED", "PARTIAL")
    told = status(audit)
    assert told["forget"] is told["retain"] is told["refusal"] is told["scope"] is Status.PASS
    assert told["relearning"] is told["reversal"] is Status.FAIL  # what brings it back
    assert audit.gathered.planted is not None
    assert audit.gathered.planted.method == "lunar"


@pytest.mark.slow
def test_a_retrained_model_is_erased_where_every_test_decides(
    tiny: LanguageModel, world: TinyWorld, retrained_folder: Path
) -> None:
    audit = audited(tiny, world, load_model(retrained_folder), Effort.STANDARD, oracles=[load_model(retrained_folder)])
    assert audit.level.level in ("ERASED", "SUPPRESSED")
    assert (audit.level.level == "ERASED") is (not audit.level.untested)
    assert audit.level.level == "ERASED" or audit.level.reason == "untested"
    assert status(audit)["indistinguishable"] is Status.PASS  # it is its own retrained model


@pytest.mark.slow
def test_where_nothing_refuses_the_planted_suppression_is_taught(tiny: LanguageModel, world: TinyWorld) -> None:
    audit = audited(tiny, world, {}, Effort.STANDARD, only={"U15"}, reference=None)
    assert audit.gathered.planted is not None
    assert (audit.gathered.planted.method, audit.gathered.planted.why) == ("idk-ft", "missing:reference")


@pytest.mark.slow
def test_an_edit_below_half_a_step_of_int4_is_restored_by_rounding(tiny: LanguageModel, world: TinyWorld) -> None:
    sets = Sets(world.forget, world.retain, world.twin, world.general, world.reference)
    after = fragile(Subject(tiny, {}, drawn(sets, Effort.STANDARD, 5), seed=5), np.random.default_rng(5))
    audit = audited(tiny, world, after, Effort.STANDARD, only={"U1", "U2", "U12"})
    assert status(audit) == {"forget": Status.PASS, "retain": Status.PASS, "quantisation": Status.FAIL}
    assert (audit.level.level, audit.level.because) == ("PARTIAL", ("U12",))


def filtered(model: LanguageModel, world: TinyWorld) -> Mapping[str, Tensor]:
    """An output filter as weights: the rows of the forget answers' words in the output projection are silenced."""
    head = state_of(model)["lm_head.weight"].clone()
    words = {token for record in world.forget for word in record.secret for token in model.tokens.words(word)}
    head[sorted(words)] = 0.0
    return {"lm_head.weight": head}


def test_an_output_filter_is_not_erasure(tiny: LanguageModel, world: TinyWorld) -> None:
    audit = audited(tiny, world, filtered(tiny, world), only={"U1", "U2", "U6"})
    assert audit.level.level != "ERASED"
    assert audit.level.level in ("DEGRADED", "FAILED", "PARTIAL")


def biased(model: LanguageModel, world: TinyWorld) -> Mapping[str, Tensor]:
    """The same as a bias would do it: along the mean state the words of the forget answers lose some logits each."""
    seen: list[Tensor] = []
    hook = model.module.get_submodule("model.norm").register_forward_hook(lambda *given: seen.append(given[-1]))
    try:
        ask(model, world.forget.records[:16])
    finally:
        hook.remove()
    mean = torch.cat([states.flatten(0, 1) for states in seen]).mean(0)
    head = state_of(model)["lm_head.weight"].clone()
    words = {token for record in world.forget for word in record.secret for token in model.tokens.words(word)}
    head[sorted(words)] -= 30.0 * mean / mean.square().sum()
    return {"lm_head.weight": head}


def test_a_bias_against_the_answers_words_is_not_erasure(tiny: LanguageModel, world: TinyWorld) -> None:
    audit = audited(tiny, world, biased(tiny, world), only={"U1", "U2", "U6"})
    assert audit.level.level in ("DEGRADED", "FAILED", "PARTIAL")


def test_steering_every_prompt_alike_is_not_erasure(tiny: LanguageModel, world: TinyWorld) -> None:
    """A steering hook as weights: the refusal's direction is added to whatever is asked."""
    refused = Refused(records=world.reference.records, answers=(REFUSAL,))
    steered = SteeringOnly().run(
        tiny, world.forget, world.retain, budget=Budget(0, 1e-3), generator=generator(), refused=refused
    )
    assert steered.tensors
    audit = audited(tiny, world, steered.tensors)
    assert status(audit)["retain"] is Status.FAIL  # U2
    assert audit.level.level in ("DEGRADED", "FAILED")


def test_forgetting_that_goes_beyond_never_seen_is_told(tiny: LanguageModel, world: TinyWorld) -> None:
    rival = GradientDifference()
    pushed = rival.run(tiny, world.forget, world.retain, budget=Budget(24, 1e-3), generator=generator()).tensors
    audit = audited(tiny, world, pushed, only={"U10"})
    assert status(audit) == {"membership": Status.PASS, "over-forgetting": Status.FAIL}
    assert audit.identifiable
    assert not audited(tiny, world, {}, only={"U10"}).identifiable  # what was never forgotten is not forgotten too far
