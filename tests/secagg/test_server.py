"""The server of a round: what it leaves out, whom it names, and when it ends the round instead of guessing."""

from dataclasses import replace
from secrets import token_bytes
from typing import Any

import numpy as np
import pytest

from secagg.keys import Identity, KeyPair
from secagg.messages import Message, RoundAborted, write
from secagg.proposal import Proposal
from secagg.records import SHARE, MaskedInput, Shares


class Shelf:
    """Keeps the records of a round in memory."""

    def __init__(self) -> None:
        self.types: list[str] = []
        self.blobs = 0

    def record(self, message: Message[Any]) -> None:
        self.types.append(message.body.TYPE)

    def blob(self, vector: Any) -> str:
        self.blobs += 1
        return "0" * 64


def signed(one: Any, sender: str, body: Any) -> Message[Any]:
    return write(body, sender, Proposal(one.header).session, one.identities[sender].sign)


def finished(one: Any) -> tuple[str, ...]:
    for each in one.included:
        one.server.consistent(one.clients[each].consistency(one.included))
    for each in one.included:
        one.server.unmasked(one.clients[each].unmask(one.included, one.server.agreements_for(each)))
    total = one.server.result()
    exact = sum(
        np.floor((one.updates[each].astype(np.float64) + 8) * 2**16).astype(np.int64) for each in total.survivors
    )
    assert np.abs(total.total.astype(np.int64) - exact).max() <= len(total.survivors)  # each was rounded up or not
    return tuple(total.survivors)


def test_keys_with_a_false_signature_are_left_out_before_they_cost_a_neighbour(drive: type[Any]) -> None:
    one = drive()
    client = one.clients["c3"]
    client.open(one.header)
    message = client.advertise()
    one.server.advertised(replace(message, signature=Identity.generate().sign(b"another")))
    one.server.advertised(replace(message, signature=None))
    assert one.server.blamed == {"c3": "bad-signature"}
    one.server.advertised(message)  # the right one may still come
    for each in ("c0", "c1", "c2", "c4"):
        one.clients[each].open(one.header)
        one.server.advertised(one.clients[each].advertise())
    assert one.server.roster().included == ("c0", "c1", "c2", "c3", "c4")


def test_a_second_message_of_a_kind_changes_nothing(drive: type[Any]) -> None:
    one = drive()
    one.advertise()
    again = signed(one, "c0", one.server.keys_for("c1")["c0"].body)
    one.server.advertised(again)
    assert one.server.blamed == {"c0": "phase-order"}


def test_shares_for_others_than_the_neighbours_are_left_out(drive: type[Any]) -> None:
    one = drive()
    one.advertise()
    sent = one.clients["c0"].share(one.included, one.server.keys_for("c0"))
    few = dict(list(sent.body.ciphertexts.items())[:-1])
    one.server.shared(signed(one, "c0", replace(sent.body, ciphertexts=few)))
    assert one.server.blamed == {"c0": "graph-mismatch"}


def test_a_vector_of_another_length_excludes_its_client(drive: type[Any]) -> None:
    one = drive()
    one.share()
    rng = np.random.default_rng(0)
    for each, client in one.clients.items():
        message, vector = client.mask(one.included, one.server.sealed_for(each), one.updates[each], rng=rng)
        one.server.masked(message, vector[:-1] if each == "c4" else vector)
    one.included = one.server.survivors().included
    assert finished(one) == ("c0", "c1", "c2", "c3", "c5")
    assert one.server.blamed == {"c4": "bad-length"}


def test_a_masked_vector_after_the_survivors_is_discarded_and_not_recorded(drive: type[Any]) -> None:
    one = drive()
    one.share()
    rng = np.random.default_rng(0)
    late = {}
    for each, client in one.clients.items():
        late[each] = client.mask(one.included, one.server.sealed_for(each), one.updates[each], rng=rng)
        if each != "c5":
            one.server.masked(*late[each])
    one.included = one.server.survivors().included
    one.server.masked(*late["c5"])
    assert finished(one) == ("c0", "c1", "c2", "c3", "c4")
    assert one.server.blamed == {}


def test_a_wrong_share_is_dropped_its_sender_named_and_the_sum_still_right(drive: type[Any]) -> None:
    one = drive(threshold=3)
    one.agree(lost=("c2",))
    for each in one.included:
        message = one.clients[each].unmask(one.included, one.server.agreements_for(each))
        if each == "c0":
            wrong = {owner: bytes(SHARE) for owner in message.body.self_mask_shares}
            message = signed(one, "c0", replace(message.body, self_mask_shares=wrong))
        one.server.unmasked(message)
    outcome = one.server.result()
    assert one.server.blamed == {"c0": "share-digest"}
    assert outcome.survivors == ("c0", "c1", "c3", "c4", "c5")


@pytest.mark.parametrize("kind", ["mask_key_shares", "self_mask_shares"])
def test_an_answer_with_more_than_was_asked_is_left_out(drive: type[Any], kind: str) -> None:
    one = drive()
    one.agree(lost=("c2",))
    message = one.clients["c0"].unmask(one.included, one.server.agreements_for("c0"))
    more = {**getattr(message.body, kind), "c1" if kind == "mask_key_shares" else "c2": bytes(SHARE)}
    one.server.unmasked(signed(one, "c0", replace(message.body, **{kind: more})))
    assert one.server.blamed == {"c0": "unrequested-share"}


def dealt_wrong(one: Any, owner: str, **changes: Any) -> Shares:
    sent = one.clients[owner].share(one.included, one.server.keys_for(owner))
    return replace(sent.body, **changes)


def test_a_dealer_whose_shares_do_not_give_what_it_committed_to_is_named(drive: type[Any]) -> None:
    one = drive()
    one.advertise()
    for each, client in one.clients.items():
        if each == "c1":
            body = dealt_wrong(one, "c1", self_mask_commitment="a" * 64)
            one.server.shared(signed(one, "c1", body))
        else:
            one.server.shared(client.share(one.included, one.server.keys_for(each)))
    one.included = one.server.share_roster().included
    rng = np.random.default_rng(0)
    for each, client in one.clients.items():
        one.server.masked(*client.mask(one.included, one.server.sealed_for(each), one.updates[each], rng=rng))
    one.included = one.server.survivors().included
    with pytest.raises(RoundAborted) as aborted:
        finished(one)
    assert (aborted.value.code, aborted.value.clients) == ("commitment-mismatch", ("c1",))


def test_a_client_that_advertised_another_key_than_it_shared_is_named_when_it_drops_out(drive: type[Any]) -> None:
    one = drive()
    one.advertise()
    private = one.clients["c1"]._private
    private.mask_pair = KeyPair.generate()  # what it shares now is the secret of another key
    one_round(one, lost="c1")
    with pytest.raises(RoundAborted) as aborted:
        finished(one)
    assert (aborted.value.code, aborted.value.clients) == ("key-mismatch", ("c1",))


def one_round(one: Any, lost: str) -> None:
    for each, client in one.clients.items():
        one.server.shared(client.share(one.included, one.server.keys_for(each)))
    one.included = one.server.share_roster().included
    rng = np.random.default_rng(0)
    for each, client in one.clients.items():
        if each != lost:
            one.server.masked(*client.mask(one.included, one.server.sealed_for(each), one.updates[each], rng=rng))
    one.included = one.server.survivors().included


def test_without_enough_shares_the_round_ends_and_says_whose_are_missing(drive: type[Any]) -> None:
    one = drive()
    one.agree(lost=("c2",))
    for each in one.included[:3]:
        one.server.unmasked(one.clients[each].unmask(one.included, one.server.agreements_for(each)))
    with pytest.raises(RoundAborted) as aborted:
        one.server.result()
    assert aborted.value.code == "insufficient-shares"
    assert "c2" in aborted.value.clients


@pytest.mark.parametrize(("present", "code"), [(4, "too-few-clients"), (5, "")])
def test_a_round_needs_more_clients_than_the_threshold(drive: type[Any], present: int, code: str) -> None:
    one = drive()
    for each in [*one.clients][:present]:
        one.clients[each].open(one.header)
        one.server.advertised(one.clients[each].advertise())
    if code:
        with pytest.raises(RoundAborted, match=code):
            one.server.roster()
    else:
        assert len(one.server.roster().included) == present


def test_a_strangers_message_is_left_out_and_its_name_not_repeated(drive: type[Any]) -> None:
    one = drive()
    one.share()
    body = MaskedInput(token_bytes(32).hex(), one.header.length, 32, None)
    one.server.masked(Message("stranger", body, b"{}"), np.zeros(one.header.length, np.uint32))
    assert one.server.blamed == {}


def test_everything_that_counts_is_recorded_in_the_order_of_the_protocol(drive: type[Any]) -> None:
    shelf = Shelf()
    one = drive()
    one.server = type(one.server)(one.header, shelf)
    # the digest that the shelf gives is no digest: what is recorded is decided by the server's own reckoning
    one.unmask(lost=("c2",))
    assert shelf.types == [
        "header",
        *["advertise"] * 6,
        "roster",
        *["shares"] * 6,
        "share_roster",
        *["masked_input"] * 5,
        "survivors",
        *["consistency"] * 5,
        *["unmask"] * 5,
        "aggregate",
    ]
    assert shelf.blobs == 6


def test_what_is_recorded_is_signed_and_hashed_as_it_says(drive: type[Any]) -> None:
    one = drive()
    one.server = type(one.server)(one.header, Shelf())
    one.share()
    rng = np.random.default_rng(0)
    sent = {
        each: client.mask(one.included, one.server.sealed_for(each), one.updates[each], rng=rng)
        for each, client in one.clients.items()
    }
    message, vector = sent["c0"]
    one.server.masked(message, vector + np.uint32(1))
    one.server.masked(replace(sent["c1"][0], signature=None), sent["c1"][1])
    assert one.server.blamed == {"c0": "blob-digest", "c1": "bad-signature"}
