"""What Flower's client keeps after a round and tells in the clear, and that a client which does not is seen not to."""

import importlib
from typing import Any
from unittest.mock import patch

import pytest

from secagg.flower.privacy import kept_secrets, told_in_clear

pytestmark = pytest.mark.flower
MOD = "flwr.client.mod.secure_aggregation.secaggplus_mod"


def test_flower_1_41_keeps_its_keys_and_seed_after_the_round() -> None:
    kept = kept_secrets()
    assert kept.finished
    assert {"sk1", "sk2", "rd_seed"} <= set(kept.fields)
    assert kept.private_keys == 2
    assert not {"pk1", "pk2", "public_keys_dict"} & set(kept.fields)


def test_a_client_that_wipes_its_state_is_seen_to_keep_nothing() -> None:
    module = importlib.import_module(MOD)  # the package has a function of that name
    original = module._unmask

    def wiping(state: Any, configs: Any) -> Any:
        answer = original(state, configs)
        for name in [name for name in vars(state) if name != "current_stage"]:
            delattr(state, name)
        return answer

    with patch.object(module, "_unmask", wiping):
        kept = kept_secrets()
    assert kept.finished
    assert (kept.fields, kept.count, kept.private_keys) == ((), 0, 0)


def test_no_secret_stands_in_what_is_returned() -> None:
    assert all(not isinstance(value, bytes) for value in vars(kept_secrets()).values())


def test_flower_1_41_tells_weight_and_loss() -> None:
    told = told_in_clear()
    assert told.fields == ("fitres.metrics.train_loss", "fitres.num_examples.num_examples")
    assert told.weight_told


def test_a_client_that_tells_nothing_is_seen_to_tell_nothing() -> None:
    import flwr.client.mod as home

    original = home.secaggplus_mod

    def silent(message: Any, context: Any, call_next: Any) -> Any:
        reply = original(message, context, call_next)
        for name in [name for name in reply.content if name != "secaggplus_configs"]:
            del reply.content[name]
        return reply

    with patch.object(home, "secaggplus_mod", silent):
        told = told_in_clear()
    assert told.fields == ()
    assert not told.weight_told
