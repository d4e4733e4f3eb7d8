"""A client's steps: each once, in order, on what it checked itself; and what is left of its secrets afterwards."""

import gc
from abc import ABCMeta
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from secrets import token_bytes
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest

from secagg.client import SecAggClient
from secagg.keys import Identity
from secagg.messages import Message, Refusal, write
from secagg.policy import ClientPolicy
from secagg.proposal import Proposal
from secagg.quantize import Quantization, dequantize_mean
from secagg.records import SHARE, Advertise, Consistency, Header, HeaderQuantization
from secagg.server import RingSum, SecAggServer

DIMENSION = 50


@dataclass
class Round:
    """A round of few clients against a malicious server, driven step by step."""

    count: int = 6
    threshold: int = 4
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ids = [f"c{place}" for place in range(self.count)]
        self.identities = {one: Identity.generate() for one in ids}
        fields: dict[str, Any] = {
            "run": "test",
            "round": 1,
            "clients": {one: self.identities[one].public_key for one in ids},
            "degree": self.count - 1,
            "threshold": self.threshold,
            "beacon": token_bytes(32),
            "beacon_source": "simulation",
            "server_trust": "malicious",
            "signatures": True,
            "consistency_check": True,
            "modulus_bits": 32,
            "length": DIMENSION,
            "quantization": HeaderQuantization(8.0, 2**20),
        }
        self.header = Header(**(fields | dict(self.changes)))
        vouched = {one: key.public_key for one, key in self.identities.items()}
        policy = ClientPolicy(required_sigma=0, required_eta=0, identities=vouched)
        self.clients = {one: SecAggClient(one, self.identities[one], policy) for one in ids}
        self.server = SecAggServer(self.header)
        rng = np.random.default_rng(1)
        self.updates = {one: rng.normal(size=DIMENSION).astype(np.float32) for one in ids}

    def advertise(self) -> None:
        for client in self.clients.values():
            client.open(self.header)
            self.server.advertised(client.advertise())
        self.included = self.server.roster().included

    def share(self) -> None:
        self.advertise()
        for one, client in self.clients.items():
            self.server.shared(client.share(self.included, self.server.keys_for(one)))
        self.included = self.server.share_roster().included

    def mask(self, lost: tuple[str, ...] = ()) -> None:
        self.share()
        rng = np.random.default_rng(2)
        for one, client in self.clients.items():
            message, vector = client.mask(self.included, self.server.sealed_for(one), self.updates[one], rng=rng)
            if one not in lost:
                self.server.masked(message, vector)
        self.included = self.server.survivors().included

    def agree(self, lost: tuple[str, ...] = ()) -> None:
        self.mask(lost)
        for one in self.included:
            self.server.consistent(self.clients[one].consistency(self.included))

    def unmask(self, lost: tuple[str, ...] = ()) -> RingSum:
        self.agree(lost)
        for one in self.included:
            self.server.unmasked(self.clients[one].unmask(self.included, self.server.agreements_for(one)))
        return self.server.result()


def code_of(step: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as refused:
        step()
    return refused.value.code


def test_a_round_gives_the_mean_of_the_survivors_to_one_step_of_the_quantiser() -> None:
    one = Round()
    outcome = one.unmask(lost=("c2",))
    assert outcome.survivors == ("c0", "c1", "c3", "c4", "c5")
    mean = dequantize_mean(outcome.total, Quantization(8.0, 2**20), 5)
    true = np.mean([one.updates[each].astype(np.float64) for each in outcome.survivors], axis=0)
    assert np.abs(mean - true).max() <= 16 / 2**20


def test_a_masked_vector_alone_says_nothing_of_the_update() -> None:
    one = Round()
    one.share()
    _, vector = one.clients["c0"].mask(
        one.included, one.server.sealed_for("c0"), np.zeros(DIMENSION, np.float32), rng=np.random.default_rng(0)
    )
    assert len(set(vector.tolist())) == DIMENSION  # a vector of equal elements leaves as one of distinct elements


@pytest.mark.parametrize("step", ["advertise", "share", "mask", "consistency", "unmask"])
def test_no_step_is_taken_before_the_round_is_open(step: str) -> None:
    client = Round().clients["c0"]
    steps: dict[str, Callable[[], object]] = {
        "advertise": client.advertise,
        "share": lambda: client.share((), {}),
        "mask": lambda: client.mask((), {}, np.zeros(1), rng=np.random.default_rng(0)),
        "consistency": lambda: client.consistency(()),
        "unmask": lambda: client.unmask(()),
    }
    assert code_of(steps[step]) == "phase-order"


def test_each_step_is_taken_once() -> None:
    one = Round()
    client = one.clients["c0"]
    client.open(one.header)
    client.advertise()
    assert code_of(client.advertise) == "phase-order"
    assert code_of(client.advertise) == "phase-order"  # and the round stays closed


def test_a_session_is_joined_once() -> None:
    one = Round()
    one.unmask()
    assert code_of(lambda: one.clients["c0"].open(one.header)) == "session-reused"
    one.clients["c0"].open(replace(one.header, round=2))


def test_a_header_that_names_another_identity_for_the_client_is_refused() -> None:
    one = Round()
    stranger = SecAggClient("c0", Identity.generate(), one.clients["c0"].policy)
    assert code_of(lambda: stranger.open(one.header)) == "unknown-identity"


def test_keys_that_are_not_signed_by_their_owner_are_refused() -> None:
    one = Round()
    one.advertise()
    keys = one.server.keys_for("c0")
    forged = write(keys["c1"].body, "c1", Proposal(one.header).session, Identity.generate().sign)
    assert code_of(lambda: one.clients["c0"].share(one.included, keys | {"c1": forged})) == "bad-signature"
    unsigned = Message("c2", keys["c2"].body, keys["c2"].raw)
    assert code_of(lambda: one.clients["c1"].share(one.included, one.server.keys_for("c1") | {"c2": unsigned})) == (
        "bad-signature"
    )


def signed_keys(one: Round, owner: str, mask: bytes, share: bytes) -> Message[Advertise]:
    return write(Advertise(mask, share), owner, Proposal(one.header).session, one.identities[owner].sign)


def test_a_key_given_twice_is_refused() -> None:
    one = Round()
    one.advertise()
    keys = one.server.keys_for("c0")
    twice = signed_keys(one, "c1", keys["c2"].body.mask_key, keys["c1"].body.share_key)
    assert code_of(lambda: one.clients["c0"].share(one.included, keys | {"c1": twice})) == "duplicate-key"


@pytest.mark.parametrize("low", [bytes(32), (1).to_bytes(32, "little")])
def test_a_key_without_a_secret_is_refused(low: bytes) -> None:
    one = Round()
    one.advertise()
    keys = one.server.keys_for("c0")
    weak = signed_keys(one, "c1", low, keys["c1"].body.share_key)
    assert code_of(lambda: one.clients["c0"].share(one.included, keys | {"c1": weak})) == "low-order-key"


def test_lists_only_ever_shrink_and_keep_the_client_itself() -> None:
    one = Round()
    one.advertise()
    assert code_of(lambda: one.clients["c0"].share((*one.included, "outsider"), one.server.keys_for("c0"))) == (
        "not-subset"
    )
    without = tuple(each for each in one.included if each != "c1")
    assert code_of(lambda: one.clients["c1"].share(without, one.server.keys_for("c1"))) == "not-subset"


def test_too_few_clients_end_the_round_for_a_client() -> None:
    few = Round()
    few.advertise()
    assert code_of(lambda: few.clients["c0"].share(("c0", "c1"), few.server.keys_for("c0"))) == "too-few-neighbours"
    low = Round(threshold=2)
    low.mask()
    one = low.clients["c0"]
    one.policy = replace(one.policy, min_survivors=5)
    assert code_of(lambda: one.consistency(("c0", "c1", "c2", "c3"))) == "too-few-survivors"


@pytest.mark.parametrize("wrong", [b"", bytes(144), "other"])
def test_shares_that_were_not_sealed_for_this_client_by_that_neighbour_are_refused(wrong: bytes | str) -> None:
    one = Round()
    one.share()
    sealed = one.server.sealed_for("c0")
    sealed["c1"] = sealed["c2"] if wrong == "other" else wrong
    update = one.updates["c0"]
    assert (
        code_of(lambda: one.clients["c0"].mask(one.included, sealed, update, rng=np.random.default_rng(0)))
        == "bad-ciphertext"
    )


def test_another_model_than_the_header_names_is_not_trained_for() -> None:
    one = Round(changes={"model_sha256": "a" * 64})
    one.share()
    client, sealed = one.clients["c0"], one.server.sealed_for("c0")
    rng = np.random.default_rng(0)
    assert (
        code_of(lambda: client.mask(one.included, sealed, one.updates["c0"], rng=rng, model_sha256="b" * 64))
        == "model-mismatch"
    )


def test_an_update_of_another_length_is_refused() -> None:
    one = Round()
    one.share()
    client, sealed = one.clients["c0"], one.server.sealed_for("c0")
    rng = np.random.default_rng(0)
    assert code_of(lambda: client.mask(one.included, sealed, np.zeros(3, np.float32), rng=rng)) == "bad-length"


def test_the_survivors_that_were_agreed_on_are_the_ones_that_are_unmasked() -> None:
    one = Round()
    one.agree()
    fewer = tuple(each for each in one.included if each != "c5")
    assert code_of(lambda: one.clients["c0"].unmask(fewer, one.server.agreements_for("c0"))) == "view-mismatch"


def test_a_neighbour_who_was_told_something_else_ends_the_round() -> None:
    one = Round()
    one.agree()
    other = Consistency.of(one.included[1:])
    told = write(other, "c1", Proposal(one.header).session, one.identities["c1"].sign)
    agreements = one.server.agreements_for("c0") | {"c1": told}
    assert code_of(lambda: one.clients["c0"].unmask(one.included, agreements)) == "view-mismatch"


def test_an_agreement_needs_the_signatures_of_a_threshold_of_neighbours() -> None:
    one = Round()
    one.agree()
    agreements = one.server.agreements_for("c0")
    few = {each: agreements[each] for each in list(agreements)[:3]}
    assert code_of(lambda: one.clients["c0"].unmask(one.included, few)) == "too-few-neighbours"
    enough = {each: message for each, message in one.server.agreements_for("c1").items() if each != "c5"}
    assert one.clients["c1"].unmask(one.included, enough).body.self_mask_shares


def test_of_one_owner_only_one_secret_is_ever_shared_out() -> None:
    one = Round()
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


def test_no_secret_of_the_round_is_left_after_unmask() -> None:
    one = Round()
    one.mask()
    private = one.clients["c0"]._private
    assert private is not None
    secrets = {bytes(share) for share in private.shares.values()}
    assert secrets <= held_secrets(one.clients["c0"])  # the search finds them while they are there
    for each in one.included:
        one.server.consistent(one.clients[each].consistency(one.included))
    one.clients["c0"].unmask(one.included, one.server.agreements_for("c0"))
    assert not secrets & held_secrets(one.clients["c0"])


def test_a_refusal_leaves_no_secret_either() -> None:
    one = Round()
    one.share()
    client = one.clients["c0"]
    private = client._private
    assert private is not None
    secrets = {bytes(private.seed), *map(bytes, private.mask_keys.values())}
    assert secrets <= held_secrets(client)
    assert code_of(lambda: client.unmask(one.included)) == "phase-order"
    assert not secrets & held_secrets(client)


def test_neither_repr_nor_refusal_shows_a_secret() -> None:
    one = Round()
    one.share()
    client = one.clients["c0"]
    private = client._private
    assert private is not None
    shown = repr(private) + repr(client) + repr(one.identities["c0"])
    assert private.seed.hex() not in shown
    assert repr(bytes(private.seed)) not in shown


def test_a_client_rebuilt_between_all_steps_gives_the_same_sum() -> None:
    one = Round()
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
