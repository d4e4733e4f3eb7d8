"""Every knob of the hostile server against clients with and without defences, and clients that lie themselves."""

from dataclasses import replace

import numpy as np
import pytest

from secagg.exposure import recover_vector
from secagg.hostile import MaliciousServer
from secagg.lies import LIES
from secagg.malice import FEWEST_CLIENTS, KNOBS, drive_knob, simulate_attack
from secagg.masking import in_ring
from secagg.plain_sum import dice_of
from secagg.policy import ClientPolicy
from secagg.quantize import Quantization
from secagg.sabotage import SABOTAGES
from secagg.setting import RoundConfig, make_identities
from secagg.simulate import SeededUpdates, simulate_round
from secagg.weak_client import WeakClient

TABLE = {  # transcribed from the specification, not from the code
    "low-threshold": ("policy-threshold", True),
    "small-cohort": ("policy-cohort", True),
    "sparse-graph": ("policy-degree", False),
    "overflow-ring": ("policy-overflow", False),
    "server-beacon": ("policy-beacon", False),
    "key-substitution": ("bad-signature", True),
    "duplicate-key": ("duplicate-key", False),
    "low-order-key": ("low-order-key", False),
    "ciphertext-swap": ("bad-ciphertext", False),
    "ciphertext-replay": ("bad-ciphertext", False),
    "session-replay": ("session-reused", False),
    "outsider": ("not-subset", False),
    "isolate": ("too-few-survivors", True),
    "split-view": ("view-mismatch", True),
    "forged-consistency": ("bad-signature", False),
    "second-unmask": ("phase-order", True),
    "late-change": ("view-mismatch", True),
    "wrong-model": ("model-mismatch", False),
}


def test_the_table_of_knobs_is_that_of_the_specification() -> None:
    assert {name: tuple(knob) for name, knob in KNOBS.items()} == TABLE
    assert LIES.keys() == KNOBS.keys()


@pytest.mark.parametrize("knob", TABLE)
def test_a_client_with_defences_refuses_with_the_code_of_the_table(knob: str) -> None:
    outcome = drive_knob(knob)
    assert outcome.refused
    assert {refusal.code for refusal in outcome.refusals} == {TABLE[knob][0]}
    assert not outcome.leaked
    assert outcome.loosened == (("required_sigma",) if knob in ("split-view", "late-change") else ())


@pytest.mark.parametrize("knob", TABLE)
def test_a_client_without_defences_leaks_where_the_table_says_so_and_only_there(knob: str) -> None:
    outcome = drive_knob(knob, "weak")
    assert not outcome.refused
    assert outcome.refusals == ()
    assert outcome.leaked is TABLE[knob][1]


@pytest.mark.parametrize("knob", [knob for knob, (_, leaks) in TABLE.items() if leaks])
@pytest.mark.parametrize("clients", [9, pytest.param(110, marks=pytest.mark.slow)])
def test_leaks_do_not_depend_on_the_size_of_the_cohort(knob: str, clients: int) -> None:
    config = RoundConfig(clients, 3, modulus_bits=64)
    strict, weak = (drive_knob(knob, kind, config=config) for kind in ("strict", "weak"))
    assert (strict.refused, strict.leaked) == (True, False)
    assert {refusal.code for refusal in strict.refusals} == {TABLE[knob][0]}
    assert (weak.refused, weak.leaked) == (False, True)


def test_only_the_named_defence_had_to_be_loosened() -> None:
    """Without loosening, the threshold that a split view needs is refused before it can be told."""
    header = RoundConfig(8, 4, server_trust="malicious", degree=7, threshold=3)
    result = simulate_round(header, SeededUpdates(1, 4), rng=np.random.default_rng(0))
    assert (result.status, result.reason) == ("aborted", "policy-threshold")
    loosened = replace(header, required_sigma=0)
    assert simulate_round(loosened, SeededUpdates(1, 4), rng=np.random.default_rng(0)).exact is True


def test_a_weak_setting_does_not_stand_before_the_defence_under_test() -> None:
    config = RoundConfig(60, 4, degree=6, threshold=4, corrupt_fraction=0.2, dropout_fraction=0.2)
    outcome = drive_knob("forged-consistency", config=config)
    assert outcome.refused
    assert {refusal.code for refusal in outcome.refusals} == {"bad-signature"}
    assert outcome.loosened == ("required_sigma", "required_eta")


def test_honest_rounds_with_the_same_clients_go_well() -> None:  # the refusals above are not refusals of everything
    for kind in ("strict", "weak"):
        config = RoundConfig(FEWEST_CLIENTS, 16, server_trust="malicious")
        assert simulate_round(config, SeededUpdates(1, 16), rng=np.random.default_rng(0), client=kind).exact is True


def test_what_is_recovered_is_the_vector_to_the_bit() -> None:
    """The attack once by hand: a server of threshold one, its accomplice, and the victim's own dice."""
    config, update = RoundConfig(8, 5), np.linspace(-1, 1, 5)
    identities = make_identities(config.ids)
    header = replace(config.chosen().header(bytes(32), identities), signatures=True)
    server = MaliciousServer("low-threshold", header, identities)
    assert server.proposal.header.threshold == 1
    clients = {one: WeakClient(one, identities[one], ClientPolicy()) for one in config.ids}
    clients[server.accomplice.client_id] = server.accomplice
    for one, client in clients.items():
        client.open(server.proposal)
        server.keys[one] = client.advertise()
    everybody = frozenset(clients)
    for one, client in clients.items():
        server.dealt[one] = client.share(everybody, server.keys_for(one))
    vectors = {
        one: client.mask(everybody, server.sealed_for(one), update, rng=dice_of(3, 0))[1]
        for one, client in clients.items()
    }
    victim = server.victim
    seen = {peer: message.body for peer, message in server.keys_for(victim).items()}
    given = (seen, server.keys[victim].body)
    commitment = server.dealt[victim].body.self_mask_commitment
    # without the neighbours' answers their pairwise masks stay on: one accomplice alone has its own shares only
    loot = server.loot()
    found = recover_vector(loot, victim, vectors[victim], commitment, *given)
    plain = in_ring(update, Quantization(8.0, 2**22), 32, dice_of(3, 0)).vector
    np.testing.assert_array_equal(found, plain)
    loot.seed_shares.clear()  # negative control: nothing without the seed of the self mask
    assert recover_vector(loot, victim, vectors[victim], commitment, *given) is None


def test_an_attack_is_told_as_a_round_without_a_sum() -> None:
    result = simulate_attack("isolate", "weak")
    fields = result.as_fields()
    assert fields["attack"] == {
        "knob": "isolate",
        "refused": False,
        "refusals": [],
        "leaked": True,
        "loosened": [],
    }
    assert (fields["aggregate_sha256"], fields["exact"]) == (None, None)
    refused = simulate_attack("wrong-model").as_fields()
    assert refused["attack"]["refusals"] == [  # type: ignore[index]
        {"client": "c00001", "phase": "masked-input", "code": "model-mismatch"}
    ]


def test_too_few_clients_and_unknown_knobs_are_errors() -> None:
    with pytest.raises(ValueError, match="wants 8 clients"):
        drive_knob("isolate", config=RoundConfig(7, 4))
    with pytest.raises(KeyError):
        drive_knob("charm")


@pytest.mark.parametrize(("trust", "clients"), [("honest-but-curious", 12), ("malicious", 12), ("malicious", 8)])
@pytest.mark.parametrize("name", SABOTAGES)
def test_a_lying_client_is_named_and_nobody_else(name: str, trust: str, clients: int) -> None:
    config = RoundConfig(clients, 6, server_trust=trust)
    result = simulate_round(config, SeededUpdates(1, 6), malice=name, rng=np.random.default_rng(0))
    code = {"bad-share": "share-digest", "bad-dealing": "commitment-mismatch", "wrong-length": "bad-length"}[name]
    assert dict(result.blamed) == {"c00001": code}
    assert result.attack is not None
    assert result.attack.refused
    if name == "bad-dealing":
        assert (result.status, result.reason, result.total) == ("aborted", code, None)
    else:
        assert (result.status, result.exact) == ("ok", True)
        assert ("c00001" in result.survivors) is (name == "bad-share")  # its vector counts, its share does not


def test_a_bad_share_ends_the_round_where_no_other_is_left_over() -> None:
    config = RoundConfig(4, 6, degree=3, threshold=3, required_sigma=0, required_eta=0)
    result = simulate_round(config, SeededUpdates(1, 6), malice="bad-share", rng=np.random.default_rng(0))
    assert (result.status, result.reason) == ("aborted", "insufficient-shares")
    assert dict(result.blamed) == {"c00001": "share-digest"}
