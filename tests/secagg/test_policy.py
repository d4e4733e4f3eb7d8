"""What a client refuses of a proposal, one condition at a time, beside the proposal that it takes."""

from dataclasses import replace
from typing import Any

import pytest

from secagg.messages import Refusal
from secagg.policy import ClientPolicy
from secagg.proposal import Proposal
from secagg.records import Header, HeaderQuantization

IDS = [f"c{place:05d}" for place in range(1, 101)]
VOUCHED = {one: bytes([place]) * 32 for place, one in enumerate(IDS)}


def header(clients: int = 100, degree: int = 12, threshold: int = 7, **changes: Any) -> Header:
    """A sparse round that reaches 40 and 20 bits at .05/.05 against a curious server."""
    fields: dict[str, Any] = {
        "run": "r",
        "round": 1,
        "clients": {one: VOUCHED[one] for one in IDS[:clients]},
        "degree": degree,
        "threshold": threshold,
        "beacon": b"b" * 32,
        "beacon_source": "public:drand 1",
        "server_trust": "honest-but-curious",
        "signatures": True,
        "consistency_check": False,
        "modulus_bits": 32,
        "length": 10,
        "quantization": HeaderQuantization(8.0, 2**20),
    }
    return Header(**(fields | changes))


MALICIOUS = {"server_trust": "malicious", "consistency_check": True}


def refusal(proposed: Header, policy: ClientPolicy | None = None, client: str = IDS[0]) -> str:
    try:
        (policy or ClientPolicy()).review(Proposal(proposed), client)
    except Refusal as error:
        return error.code
    return ""


def test_a_sound_proposal_is_taken_by_the_default_policy() -> None:
    assert refusal(header()) == ""
    assert refusal(header(10, 9, 5)) == ""


def test_a_malicious_server_is_taken_on_with_signatures_consistency_check_and_vouched_identities() -> None:
    assert refusal(header(10, 9, 7, **MALICIOUS), ClientPolicy(identities=VOUCHED)) == ""


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"clients": {one: VOUCHED[one] for one in IDS[:2]}, "degree": 1, "threshold": 1}, "policy-cohort"),
        ({"threshold": 1}, "policy-threshold"),
        ({"degree": 2, "threshold": 2}, "policy-degree"),
        ({"degree": 99, "threshold": 2}, "policy-threshold"),
        ({"degree": 99, "threshold": 99}, "policy-threshold"),
        ({"modulus_bits": 16}, "policy-ring"),
        ({"quantization": HeaderQuantization(8.0, 2**26)}, "policy-overflow"),
        ({"quantization": HeaderQuantization(8.0, 2**20, "integer", 41)}, "policy-overflow"),
        ({"degree": 13}, "bad-header"),
        ({"degree": 100}, "bad-header"),
        ({"threshold": 13}, "bad-header"),
        ({"server_trust": "trusted"}, "bad-header"),
        ({"signatures": False, "consistency_check": True}, "bad-header"),
        ({"corrupt_fraction": 1.5}, "bad-header"),
        ({"quantization": HeaderQuantization(-8.0, 2**20)}, "bad-header"),
        ({"clients": {IDS[0]: None, **{one: VOUCHED[one] for one in IDS[1:]}}}, "bad-header"),
    ],
)
def test_what_a_server_may_not_propose(changes: dict[str, Any], code: str) -> None:
    proposed = replace(header(), **changes)

    assert refusal(proposed) == code


def test_the_largest_ring_that_cannot_overflow_is_taken_and_one_step_more_is_not() -> None:
    levels = (2**32 - 1) // 100
    assert refusal(header(quantization=HeaderQuantization(8.0, levels))) == ""
    assert refusal(header(quantization=HeaderQuantization(8.0, levels + 1))) == "policy-overflow"
    assert refusal(header(quantization=HeaderQuantization(8.0, levels + 1), modulus_bits=64)) == ""


def test_a_client_outside_the_cohort_joins_nothing() -> None:
    assert refusal(header(50), client=IDS[60]) == "bad-header"


def test_corrupt_clients_are_counted_even_where_the_header_counts_none() -> None:
    few = header(corrupt_fraction=0.0, dropout_fraction=0.05, degree=8, threshold=3)
    assert refusal(few) == "policy-degree"
    assert refusal(few, ClientPolicy(least_corrupt_fraction=0.0, min_corrupt=0)) == ""


@pytest.mark.parametrize("missing", ["signatures", "consistency_check"])
def test_against_a_malicious_server_every_defence_is_required(missing: str) -> None:
    lame = replace(header(10, 9, 7, **MALICIOUS), **{missing: False})
    assert refusal(lame, ClientPolicy(identities=VOUCHED)) == "bad-header"


def test_a_malicious_server_is_not_believed_about_identities() -> None:
    proposed = header(10, 9, 7, **MALICIOUS)
    assert refusal(proposed) == "unknown-identity"
    assert refusal(proposed, ClientPolicy(identities=VOUCHED | {IDS[3]: b"x" * 32})) == "unknown-identity"
    assert refusal(proposed, ClientPolicy(identities={IDS[0]: VOUCHED[IDS[0]]})) == "unknown-identity"


def malicious_sparse(source: str) -> Header:
    return header(100, 60, 47, beacon_source=source, **MALICIOUS)


@pytest.mark.parametrize(
    ("source", "code"), [("public:drand 1", ""), ("server", "policy-beacon"), ("simulation", "policy-beacon")]
)
def test_a_malicious_server_does_not_choose_a_sparse_graph(source: str, code: str) -> None:
    assert refusal(malicious_sparse(source), ClientPolicy(identities=VOUCHED)) == code


def test_only_a_simulation_takes_its_own_beacon_for_a_public_one() -> None:
    policy = ClientPolicy(identities=VOUCHED, simulated_beacon=True)
    assert refusal(malicious_sparse("simulation"), policy) == ""
    assert refusal(malicious_sparse("server"), policy) == "policy-beacon"


def test_a_beacon_that_was_looked_up_must_be_the_one_in_the_header() -> None:
    right = ClientPolicy(identities=VOUCHED, beacons={"public:drand 1": b"b" * 32})
    wrong = ClientPolicy(identities=VOUCHED, beacons={"public:drand 1": b"c" * 32})
    assert refusal(malicious_sparse("public:drand 1"), right) == ""
    assert refusal(malicious_sparse("public:drand 1"), wrong) == "policy-beacon"
    assert refusal(malicious_sparse("public:drand 2"), right) == "policy-beacon"


@pytest.mark.parametrize(("clients", "wanted"), [(3, 3), (4, 3), (6, 3), (7, 4), (100, 50)])
def test_half_of_the_cohort_must_survive_and_three_at_least(clients: int, wanted: int) -> None:
    assert ClientPolicy().survivors_wanted(clients) == wanted
    assert ClientPolicy(min_survivors=5).survivors_wanted(clients) == 5
