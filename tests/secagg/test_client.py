"""A client's steps: each once, in order, on what it checked itself; and what is left of its secrets afterwards."""

import gc
from abc import ABCMeta
from collections.abc import Callable
from dataclasses import replace
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest

from secagg.client import SecAggClient
from secagg.keys import Identity
from secagg.messages import Message, Refusal, write
from secagg.proposal import Proposal
from secagg.quantize import Quantization, dequantize_mean
from secagg.records import SHARE, Advertise, Consistency

DIMENSION = 50


def code_of(step: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as refused:
        step()
    return refused.value.code


def test_a_round_gives_the_mean_of_the_survivors_to_one_step_of_the_quantiser(drive: type[Any]) -> None:
    one = drive()
    outcome = one.unmask(lost=("c2",))
    assert outcome.survivors == ("c0", "c1", "c3", "c4", "c5")
    mean = dequantize_mean(outcome.total, Quantization(8.0, 2**20), 5)
    true = np.mean([one.updates[each].astype(np.float64) for each in outcome.survivors], axis=0)
    assert np.abs(mean - true).max() <= 16 / 2**20


def test_a_masked_vector_alone_says_nothing_of_the_update(drive: type[Any]) -> None:
    one = drive()
    one.share()
    _, vector = one.clients["c0"].mask(
        one.included, one.server.sealed_for("c0"), np.zeros(DIMENSION, np.float32), rng=np.random.default_rng(0)
    )
    assert len(set(vector.tolist())) == DIMENSION  # a vector of equal elements leaves as one of distinct elements


@pytest.mark.parametrize("step", ["advertise", "share", "mask", "consistency", "unmask"])
def test_no_step_is_taken_before_the_round_is_open(drive: type[Any], step: str) -> None:
    client = drive().clients["c0"]
    steps: dict[str, Callable[[], object]] = {
        "advertise": client.advertise,
        "share": lambda: client.share((), {}),
        "mask": lambda: client.mask((), {}, np.zeros(1), rng=np.random.default_rng(0)),
        "consistency": lambda: client.consistency(()),
        "unmask": lambda: client.unmask(()),
    }
    assert code_of(steps[step]) == "phase-order"


def test_each_step_is_taken_once(drive: type[Any]) -> None:
    one = drive()
    client = one.clients["c0"]
    client.open(one.header)
    client.advertise()
    assert code_of(client.advertise) == "phase-order"
    assert code_of(client.advertise) == "phase-order"  # and the round stays closed


def test_a_session_is_joined_once(drive: type[Any]) -> None:
    one = drive()
    one.unmask()
    assert code_of(lambda: one.clients["c0"].open(one.header)) == "session-reused"
    one.clients["c0"].open(replace(one.header, round=2))


def test_a_header_that_names_another_identity_for_the_client_is_refused(drive: type[Any]) -> None:
    one = drive()
    stranger = SecAggClient("c0", Identity.generate(), one.clients["c0"].policy)
    assert code_of(lambda: stranger.open(one.header)) == "unknown-identity"


def test_keys_that_are_not_signed_by_their_owner_are_refused(drive: type[Any]) -> None:
    one = drive()
    one.advertise()
    keys = one.server.keys_for("c0")
    forged = write(keys["c1"].body, "c1", Proposal(one.header).session, Identity.generate().sign)
    assert code_of(lambda: one.clients["c0"].share(one.included, keys | {"c1": forged})) == "bad-signature"
    unsigned = Message("c2", keys["c2"].body, keys["c2"].raw)
    assert code_of(lambda: one.clients["c1"].share(one.included, one.server.keys_for("c1") | {"c2": unsigned})) == (
        "bad-signature"
    )


def signed_keys(one: Any, owner: str, mask: bytes, share: bytes) -> Message[Advertise]:
    return write(Advertise(mask, share), owner, Proposal(one.header).session, one.identities[owner].sign)


def test_a_key_given_twice_is_refused(drive: type[Any]) -> None:
    one = drive()
    one.advertise()
    keys = one.server.keys_for("c0")
    twice = signed_keys(one, "c1", keys["c2"].body.mask_key, keys["c1"].body.share_key)
    assert code_of(lambda: one.clients["c0"].share(one.included, keys | {"c1": twice})) == "duplicate-key"


@pytest.mark.parametrize("low", [bytes(32), (1).to_bytes(32, "little")])
def test_a_key_without_a_secret_is_refused(drive: type[Any], low: bytes) -> None:
    one = drive()
    one.advertise()
    keys = one.server.keys_for("c0")
    weak = signed_keys(one, "c1", low, keys["c1"].body.share_key)
    assert code_of(lambda: one.clients["c0"].share(one.included, keys | {"c1": weak})) == "low-order-key"


def test_lists_only_ever_shrink_and_keep_the_client_itself(drive: type[Any]) -> None:
    one = drive()
    one.advertise()
    assert code_of(lambda: one.clients["c0"].share((*one.included, "outsider"), one.server.keys_for("c0"))) == (
        "not-subset"
    )
    without = tuple(each for each in one.included if each != "c1")
    assert code_of(lambda: one.clients["c1"].share(without, one.server.keys_for("c1"))) == "not-subset"


def test_too_few_clients_end_the_round_for_a_client(drive: type[Any]) -> None:
    few = drive()
    few.advertise()
    assert code_of(lambda: few.clients["c0"].share(("c0", "c1"), few.server.keys_for("c0"))) == "too-few-neighbours"
    low = drive(threshold=2)
    low.mask()
    one = low.clients["c0"]
    one.policy = replace(one.policy, min_survivors=5)
    assert code_of(lambda: one.consistency(("c0", "c1", "c2", "c3"))) == "too-few-survivors"


@pytest.mark.parametrize("wrong", [b"", bytes(144), "other"])
def test_shares_not_sealed_for_this_client_by_that_neighbour_are_refused(drive: type[Any], wrong: bytes | str) -> None:
    one = drive()
    one.share()
    sealed = one.server.sealed_for("c0")
    sealed["c1"] = sealed["c2"] if wrong == "other" else wrong
    update = one.updates["c0"]
    assert (
        code_of(lambda: one.clients["c0"].mask(one.included, sealed, update, rng=np.random.default_rng(0)))
        == "bad-ciphertext"
    )


def test_another_model_than_the_header_names_is_not_trained_for(drive: type[Any]) -> None:
    one = drive(changes={"model_sha256": "a" * 64})
    one.share()
    client, sealed = one.clients["c0"], one.server.sealed_for("c0")
    rng = np.random.default_rng(0)
    assert (
        code_of(lambda: client.mask(one.included, sealed, one.updates["c0"], rng=rng, model_sha256="b" * 64))
        == "model-mismatch"
    )


def test_an_update_of_another_length_is_refused(drive: type[Any]) -> None:
    one = drive()
    one.share()
    client, sealed = one.clients["c0"], one.server.sealed_for("c0")
    rng = np.random.default_rng(0)
    assert code_of(lambda: client.mask(one.included, sealed, np.zeros(3, np.float32), rng=rng)) == "bad-length"


def test_the_survivors_that_were_agreed_on_are_the_ones_that_are_unmasked(drive: type[Any]) -> None:
    one = drive()
    one.agree()
    fewer = tuple(each for each in one.included if each != "c5")
    assert code_of(lambda: one.clients["c0"].unmask(fewer, one.server.agreements_for("c0"))) == "view-mismatch"


def test_a_neighbour_who_was_told_something_else_ends_the_round(drive: type[Any]) -> None:
    one = drive()
    one.agree()
    other = Consistency.of(one.included[1:])
    told = write(other, "c1", Proposal(one.header).session, one.identities["c1"].sign)
    agreements = one.server.agreements_for("c0") | {"c1": told}
    assert code_of(lambda: one.clients["c0"].unmask(one.included, agreements)) == "view-mismatch"


def test_an_agreement_needs_the_signatures_of_a_threshold_of_neighbours(drive: type[Any]) -> None:
    one = drive()
    one.agree()
    agreements = one.server.agreements_for("c0")
    few = {each: agreements[each] for each in list(agreements)[:3]}
    assert code_of(lambda: one.clients["c0"].unmask(one.included, few)) == "too-few-neighbours"
    enough = {each: message for each, message in one.server.agreements_for("c1").items() if each != "c5"}
    assert one.clients["c1"].unmask(one.included, enough).body.self_mask_shares


def test_of_one_owner_only_one_secret_is_ever_shared_out(drive: type[Any]) -> None:
    one = drive()
    one.agree(lost=("c2",))
    body = one.clients["c0"].unmask(one.included, one.server.agreements_for("c0")).body
    assert set(body.mask_key_shares) == {"c2"}
    assert set(body.self_mask_shares) == {"c1", "c3", "c4", "c5"}
    assert {len(share) for share in (*body.mask_key_shares.values(), *body.self_mask_shares.values())} == {SHARE}


def held_secrets(client: SecAggClient) -> set[bytes]:
    """Every key-sized byte string that can be reached from the client."""
    found, seen, queue = set(), set(), [client]
    while queue:
        one = queue.pop()
        if id(one) in seen or type(one) in (
            type,
            ABCMeta,
            FunctionType,
            ModuleType,
        ):  # code holds no secrets
            continue
        seen.add(id(one))
        if isinstance(one, bytes | bytearray) and len(one) >= 32:
            found.add(bytes(one))
        queue += gc.get_referents(one)
    return found


def test_no_secret_of_the_round_is_left_after_unmask(drive: type[Any]) -> None:
    one = drive()
    one.mask()
    private = one.clients["c0"]._private
    assert private is not None
    secrets = {bytes(share) for share in private.shares.values()}
    assert secrets <= held_secrets(one.clients["c0"])  # the search finds them while they are there
    for each in one.included:
        one.server.consistent(one.clients[each].consistency(one.included))
    one.clients["c0"].unmask(one.included, one.server.agreements_for("c0"))
    assert not secrets & held_secrets(one.clients["c0"])


def test_a_refusal_leaves_no_secret_either(drive: type[Any]) -> None:
    one = drive()
    one.share()
    client = one.clients["c0"]
    private = client._private
    assert private is not None
    secrets = {bytes(private.seed), *map(bytes, private.mask_keys.values())}
    assert secrets <= held_secrets(client)
    assert code_of(lambda: client.unmask(one.included)) == "phase-order"
    assert not secrets & held_secrets(client)


def test_neither_repr_nor_refusal_shows_a_secret(drive: type[Any]) -> None:
    one = drive()
    one.share()
    client = one.clients["c0"]
    private = client._private
    assert private is not None
    shown = repr(private) + repr(client) + repr(one.identities["c0"])
    assert private.seed.hex() not in shown
    assert repr(bytes(private.seed)) not in shown


def test_a_client_rebuilt_between_all_steps_gives_the_same_sum(drive: type[Any]) -> None:
    one = drive()
    rng = np.random.default_rng(2)

    def rebuilt(name: str) -> SecAggClient:
        old = one.clients[name]
        one.clients[name] = SecAggClient.restore(old.state(), name, one.identities[name], old.policy)
        return one.clients[name]

    for name, client in one.clients.items():
        client.open(one.header)
        one.server.advertised(rebuilt(name).advertise())
    included = one.server.roster().included
    for name in included:
        one.server.shared(rebuilt(name).share(included, one.server.keys_for(name)))
    included = one.server.share_roster().included
    for name in included:
        sealed = one.server.sealed_for(name)
        one.server.masked(*rebuilt(name).mask(included, sealed, one.updates[name], rng=rng))
    included = one.server.survivors().included
    for name in included:
        one.server.consistent(rebuilt(name).consistency(included))
    for name in included:
        one.server.unmasked(rebuilt(name).unmask(included, one.server.agreements_for(name)))
    mean = dequantize_mean(one.server.result().total, Quantization(8.0, 2**20), 6)
    assert np.abs(mean - np.mean([*one.updates.values()], axis=0)).max() <= 16 / 2**20
    assert code_of(lambda: rebuilt("c0").open(one.header)) == "session-reused"
    assert set(one.clients["c0"].state()) == {"joined"}
