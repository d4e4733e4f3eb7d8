"""The two halves of a masked input: the same vector as in one piece, no key in a text, no second use."""

import pickle

import numpy as np
import pytest

from secagg.client import SecAggClient
from secagg.elsewhere import MaskingTrial, mask_elsewhere
from secagg.masking import Masking, in_ring
from secagg.messages import Refusal
from secagg.plain_sum import PlainSum, dice_of
from secagg.prg import keystream
from secagg.quantize import Quantization, dequantize_mean
from secagg.server import SecAggServer
from secagg.setting import RoundConfig

UPDATE = np.linspace(-1, 1, 6)


def masking_client(seed: int) -> tuple[SecAggClient, frozenset[str], dict[str, bytes]]:
    """A client that is to mask next, with the same keys for the same seed."""
    config = RoundConfig(4, 6, degree=3, threshold=2, required_sigma=0, required_eta=0)
    server = SecAggServer(config.header(bytes(32), None))
    dice = np.random.default_rng(seed)
    clients = {one: SecAggClient(one, None, config.policy(None), dice.bytes) for one in config.ids}
    for client in clients.values():
        client.open(server.proposal)
        server.advertised(client.advertise())
    first = frozenset(server.roster().included)
    for one, client in clients.items():
        server.shared(client.share(first, server.keys_for(one)))
    second = frozenset(server.share_roster().included)
    return clients["c00002"], second, server.sealed_for("c00002")


def test_two_halves_give_the_vector_of_one() -> None:
    client, second, sealed = masking_client(1)
    message, whole = client.mask(second, sealed, UPDATE, rng=dice_of(5, 1))
    client, second, sealed = masking_client(1)
    masking = client.masking(second, sealed, UPDATE.shape)
    there = pickle.loads(pickle.dumps(MaskingTrial(masking, UPDATE, 1, 5)))  # as another process gets it
    done = mask_elsewhere(there)
    np.testing.assert_array_equal(done.vector, whole)
    assert client.masked(done.digest).body == message.body


def test_a_masking_adds_the_streams_of_its_keys_to_the_plain_vector() -> None:
    keys = ((bytes(range(32)), 1), (bytes(32), -1))
    rule = Quantization(8.0, 2**22)
    masked = Masking(keys, rule, 32).apply(UPDATE, dice_of(5, 1)).vector
    plain = in_ring(UPDATE, rule, 32, dice_of(5, 1)).vector
    np.testing.assert_array_equal(masked, plain + keystream(keys[0][0], 6, 32) - keystream(keys[1][0], 6, 32))


def test_no_key_stands_in_a_repr() -> None:
    client, second, sealed = masking_client(2)
    masking = client.masking(second, sealed, UPDATE.shape)
    told = repr(masking) + repr(MaskingTrial(masking, UPDATE, 0, 0))
    assert len(masking.keys) == 4
    for key, _ in masking.keys:
        assert key.hex() not in told
        assert repr(key)[2:-1] not in told


def test_keys_are_given_once_and_the_second_half_comes_after_the_first() -> None:
    client, second, sealed = masking_client(3)
    client.masking(second, sealed, UPDATE.shape)
    with pytest.raises(Refusal, match="phase-order"):
        client.masking(second, sealed, UPDATE.shape)
    client, second, sealed = masking_client(3)
    with pytest.raises(Refusal, match="phase-order"):
        client.masked("0" * 64)


def test_the_plain_sum_wraps_like_the_ring_and_weighs_like_the_mean() -> None:
    config = RoundConfig(3, 2, quantization=Quantization(1.0, 2**20, "integer", 7, "nearest"), weights=(7, 1, 2))
    updates = np.array([[1.0, -0.5], [0.25, 0.5], [-1.0, 0.0]])
    plain = PlainSum(config, updates, 0)
    for row in (0, 2):
        plain.add(row)
    total = np.array([9, 7 * 2**20, 7 * 2**18 + 2 * 2**19], np.uint32)  # by hand: 7 of (1, -1/2), 2 of (-1, 0)
    assert plain.equals(total)
    assert not plain.equals(total + np.uint32(1))
    np.testing.assert_allclose(dequantize_mean(total, config.quantization, 2), [5 / 9, -3.5 / 9])
    assert plain.error_of(total, 2) < 1e-12
    assert plain.error_of(total + np.array([0, 9, 0], np.uint32), 2) == pytest.approx(2 / 2**20)
