"""Which models a verification trains and asks: by seed and purpose, as many as the effort says, no copy among them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from reports.model import Effort
from unlearning.errors import UnlearningError
from unlearning.federated.data import ClientData
from unlearning.federated.delivered import Delivered
from unlearning.federated.schedule import Rounds
from unlearning.verification.evidence import Evidence
from unlearning.verification.gather import gather
from unlearning.verification.suite import verify

MODELS = 19


def few(given: Delivered, **changed: Any) -> Evidence:
    """Evidence with four references alone."""
    return gather(given, **({"effort": Effort.SMOKE, "seed": 5} | changed))


def all_sets(given: Delivered, **changed: Any) -> Evidence:
    """Evidence with as few models of every set as are ever ranked."""
    return few(given, **({"effort": Effort.STANDARD, "models": MODELS} | changed))


def without_recipe(given: Delivered, *oracles: Any) -> Delivered:
    """The same delivery, but nobody says how the federation trains; with these oracles of the owner's."""
    return replace(given, federation=None, split=None, header=None, rounds=(), close=None, oracles=oracles)


def some_model(given: Delivered, seed: int) -> dict[str, torch.Tensor]:
    assert given.federation is not None
    return given.federation.build_model(torch.Generator().manual_seed(seed)).state_dict()


def test_smoke_trains_four_references_and_nothing_else(erased: Any) -> None:
    found = few(erased("client:1", "finetune").delivered())
    assert found.reference.kind == "matched"
    assert found.references is not None
    assert len(found.references) == found.reference.models == 4
    assert found.originals is found.control is found.unlearned is found.strict is None
    assert found.after.has("forget", "retain", "test", "twin", "probes")


def test_every_set_is_trained_from_nineteen_models_on(erased: Any) -> None:
    given = erased("client:1", "finetune").delivered()
    found = all_sets(given)
    shape = (MODELS, len(given.forget))
    for scores in (found.originals, found.control, found.unlearned, found.strict, found.strict_originals):
        assert scores is not None
        assert scores.shape == shape
    assert found.references is not None
    assert found.reference.rounds == found.reference.delivered_rounds == Rounds(post=4)
    assert not found.reference.length_differs
    assert len({scores.tobytes() for scores in (found.references.scores(), found.control, found.strict)}) == 3


def test_the_models_are_those_of_seed_and_request_alone(erased: Any) -> None:
    given = erased("client:1", "rapid-retrain").delivered()
    one, again, other = (few(given, models=4, seed=seed) for seed in (5, 5, 6))
    longer = few(given, models=6)
    assert one.references is not None
    assert again.references is not None
    assert other.references is not None
    assert longer.references is not None
    assert (one.references.scores() == again.references.scores()).all()
    assert not (one.references.scores() == other.references.scores()).any(axis=1).all()
    np.testing.assert_allclose(longer.references.scores()[:4], one.references.scores(), rtol=1e-4, atol=1e-4)
    assert one.rng("x").random() == again.rng("x").random() != other.rng("x").random()


def test_references_never_saw_what_originals_saw(erased: Any) -> None:
    given = erased("client:1", "retrain").delivered()
    found = all_sets(given)
    assert found.references is not None
    assert found.originals is not None
    assert found.originals.mean() > found.references.scores().mean()  # the forget set is known better
    assert found.strict is None  # by the recipe alone is what retraining does anyway


def test_a_record_of_other_rounds_is_a_mismatch(erased: Any) -> None:
    given = erased("client:1", "finetune").delivered()
    shorter = replace(given, rounds=given.rounds[:-1])
    assert few(shorter).reference.length_differs
    untold = few(replace(given, header=None)).reference
    assert untold.delivered_rounds is None
    assert not untold.length_differs


def test_an_unknown_method_is_held_against_the_recipe_and_as_many_rounds(erased: Any) -> None:
    given = replace(erased("client:1", "finetune").delivered(), method=None)
    found = few(given)
    assert (found.reference.kind, found.reference.rounds) == ("strict", Rounds(post=4))
    assert found.unlearned is None
    report = verify(given, effort=Effort.SMOKE, seed=5)
    assert report.method is None
    assert report.residual.grade == "B"
    assert not report.residual.outcome.passed


def test_an_owners_oracles_are_taken_where_none_can_be_trained_and_copies_left_out(erased: Any) -> None:
    given = erased("client:1", "finetune").delivered()
    own = [some_model(given, seed) for seed in range(4)]
    found = few(without_recipe(given, *own, given.after, own[0]))
    assert (found.reference.kind, found.reference.trained_by, found.reference.models) == ("supplied", "owner", 4)
    assert found.reference.dropped == (
        "oracle 5: equal to the delivered model", "oracle 6: equal to oracle 1",
    )  # fmt: skip
    assert found.originals is None
    known = replace(given, oracles=tuple(own))
    assert few(known).reference.trained_by == "auditor"  # with a recipe nobody's word is needed
    assert few(known, models=0).reference.kind == "supplied"  # unless none is to be trained


def test_a_copy_with_its_units_in_another_order_is_left_out(erased: Any) -> None:
    given = erased("client:1", "finetune").delivered()
    assert given.after is not None
    order = torch.tensor([2, 0, 1, 4, 3])
    shuffled = {
        "0.weight": given.after["0.weight"][order], "0.bias": given.after["0.bias"][order],
        "2.weight": given.after["2.weight"][:, order], "2.bias": given.after["2.bias"],
    }  # fmt: skip
    found = few(without_recipe(given, shuffled, *(some_model(given, seed) for seed in range(3))))
    assert found.reference.dropped == ("oracle 1: answers as the delivered model does",)


def test_copies_alone_leave_nothing_to_compare_with(erased: Any) -> None:
    given = erased("client:1", "finetune").delivered()
    report = verify(without_recipe(given, given.after, given.after), effort=Effort.STANDARD, seed=5)
    assert report.evidence.references is None
    assert (report.residual.outcome.reason, report.residual.grade) == ("oracles-not-independent", "C")


def test_without_recipe_and_oracles_only_the_delivered_model_is_asked(erased: Any) -> None:
    report = verify(without_recipe(erased("client:1", "finetune").delivered()), effort=Effort.STANDARD, seed=5)
    assert report.evidence.reference.kind == "none"
    assert report.residual.outcome.reason == "missing:oracles"
    assert report.utility.against == "before"


def test_a_cache_of_the_auditors_gives_the_same_models_again(erased: Any, tmp_path: Any) -> None:
    from unlearning.federated.oracles import FolderCache

    given, cache = erased("client:1", "rapid-retrain").delivered(), FolderCache(tmp_path / "cache")
    first = few(given, cache=cache)
    kept = len(list((tmp_path / "cache").glob("*.safetensors")))
    again = few(given, cache=cache)
    assert kept > 0
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == kept
    assert first.references is not None
    assert again.references is not None
    assert (first.references.scores() == again.references.scores()).all()


def test_what_is_missing_or_not_finite_is_said(erased: Any) -> None:
    given = erased("client:1", "finetune").delivered()
    with pytest.raises(UnlearningError, match="no delivered model"):
        few(replace(given, after=None))
    assert given.after is not None
    broken = {name: torch.full_like(one, float("nan")) for name, one in given.after.items()}
    with pytest.raises(UnlearningError, match="no finite numbers"):
        few(replace(given, after=broken))


def test_a_twin_of_other_labels_is_known_as_such(erased: Any) -> None:
    given = erased("client:1", "finetune").delivered()
    assert given.twin is not None
    assert few(given).twin_matched
    one = given.twin.take([0] * len(given.twin))
    assert not few(replace(given, twin=one)).twin_matched


def test_neighbours_are_those_declared_and_else_the_nearest_that_stayed(erased: Any) -> None:
    given = erased("client:1", "finetune").delivered()
    assert given.retain is not None
    assert given.forget is not None
    chosen = few(given)
    assert not chosen.neighbours_declared
    assert len(chosen.after.labels["neighbours"]) == len(given.retain) // 4
    assert chosen.references is not None
    assert chosen.references.has("neighbours")
    own = ClientData(torch.cat([given.retain.x[:3], given.forget.x[:1]]), torch.tensor([2, 0, 1, 0]))
    named = few(replace(given, neighbours=own))
    assert named.neighbours_declared
    assert named.after.labels["neighbours"].tolist() == [2, 0, 1]  # the forgotten one among them is no neighbour


def test_learning_again_and_other_parts_are_asked_about_at_effort_full_alone(erased: Any) -> None:
    given = erased("client:1", "finetune").delivered()
    standard, full = all_sets(given), all_sets(given, effort=Effort.FULL)
    assert (standard.relearning, standard.elsewhere) == (None, {})
    assert given.retain is not None
    assert given.test is not None
    sizes = {"retain": len(given.retain), "test": len(given.test)}
    assert {part: sides.unlearned.shape for part, sides in full.elsewhere.items()} == {
        part: (MODELS, size) for part, size in sizes.items()
    }
    assert {part: sides.control.shape for part, sides in full.elsewhere.items()} == {
        part: (MODELS, size) for part, size in sizes.items()
    }
    assert full.relearning is not None
    assert full.before is not None
    assert len(full.relearning.references) == len(full.relearning.originals) == 8
    assert full.relearning.goal == pytest.approx(full.before.losses("forget").mean())
    assert full.relearning.delivered[0] == pytest.approx(full.after.losses("forget").mean(), rel=1e-5)
    assert full.references is not None
    first = full.references.losses("forget")[:8].mean(axis=1)
    np.testing.assert_allclose(full.relearning.references[:, 0], first, rtol=1e-5)
    again = all_sets(given, effort=Effort.FULL)
    assert again.relearning is not None
    assert (again.relearning.delivered == full.relearning.delivered).all()
    assert (
        all_sets(replace(given, method=None), effort=Effort.FULL).relearning is None
    )  # the references are not its own
