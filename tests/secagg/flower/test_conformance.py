"""Flower's own client before a hostile server: what it accepts, what that gives away, and that a mended one passes."""

import importlib
from typing import Any
from unittest.mock import patch

import pytest

from secagg.flower.conformance import FLOWER_KNOBS, UNASKED, drive_flower_knob, flower_client
from secagg.flower.harness import node_id
from secagg.malice import KNOBS

pytestmark = pytest.mark.flower
MOD = "flwr.client.mod.secure_aggregation.secaggplus_mod"
ACCEPTED_IN_1_41 = {  # knob: whether the victim's update was worked out
    "low-threshold": True,
    "small-cohort": True,
    "sparse-graph": False,
    "overflow-ring": False,
    "key-substitution": True,
    "session-replay": False,
    "split-view": True,
    "overlapping-lists": True,
    "wrong-model": False,
}
REFUSED_IN_1_41 = {"duplicate-key", "ciphertext-swap", "ciphertext-replay", "outsider", "isolate", "second-unmask"}


@pytest.mark.parametrize("knob", FLOWER_KNOBS)
def test_what_flower_1_41_accepts_and_what_that_gives_away(knob: str) -> None:
    outcome = drive_flower_knob(knob)
    assert outcome.knob == knob
    assert outcome.refused == (knob in REFUSED_IN_1_41)
    assert outcome.leaked == ACCEPTED_IN_1_41.get(knob, False)
    assert bool(outcome.refusals) == (outcome.refused or knob == "key-substitution")


def test_every_knob_of_the_simulator_is_asked_or_said_to_mean_nothing() -> None:
    ours = {knob for knob in KNOBS if not knob.startswith(("bad-", "wrong-length"))}
    assert ours | {"overlapping-lists"} == set(FLOWER_KNOBS) | set(UNASKED)
    assert not set(FLOWER_KNOBS) & set(UNASKED)


def test_the_refusal_names_the_client_and_the_stage() -> None:
    outcome = drive_flower_knob("ciphertext-swap")
    [refusal] = outcome.refusals
    assert (refusal.client, refusal.phase) == (str(node_id(0)), "collect_masked_vectors")


def test_a_client_that_was_mended_refuses() -> None:
    module = importlib.import_module(MOD)  # the package has a function of that name
    original = module._unmask

    def strict(state: Any, configs: Any) -> Any:
        if set(configs["active_nids"]) & set(configs["dead_nids"]):
            raise ValueError("a node is active and dead")
        return original(state, configs)

    with patch.object(module, "_unmask", strict):
        outcome = drive_flower_knob("overlapping-lists")
    assert outcome.refused
    assert not outcome.leaked


def test_an_unknown_knob_is_an_error() -> None:
    with pytest.raises(KeyError):
        drive_flower_knob("politeness")


def test_the_function_that_was_asked_is_named() -> None:
    assert flower_client() == f"{MOD}.secaggplus_mod"
