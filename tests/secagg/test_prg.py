"""Masks against NIST's vectors and `cryptography` itself; that they are uniform, and that generators are told apart."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chi2

from secagg.keys import derive
from secagg.prg import CHUNK_BYTES, accumulate_masks, keystream, open_stream, require_ring

FOLDER = Path(__file__).parents[1] / "vectors" / "secagg"
OURS = json.loads((FOLDER / "vectors.json").read_bytes())["stream"]
NIST = json.loads((FOLDER / "primitives.json").read_bytes())["sp800_38a"]
KEY = bytes.fromhex(OURS["key"])
rings = pytest.mark.parametrize("modulus_bits", [32, 64])


def encrypted_zeros(key: bytes, size: int) -> bytes:
    encryptor = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()
    return encryptor.update(bytes(size)) + encryptor.finalize()


def byte_p_value(vector: NDArray[Any]) -> float:
    """Return the p-value of Pearson's chi-square test that all byte values are equally frequent."""
    counts = np.bincount(vector.view(np.uint8), minlength=256)
    expected = counts.sum() / 256
    return float(chi2.sf(((counts - expected) ** 2 / expected).sum(), 255))


def test_the_stream_is_aes_256_in_counter_mode() -> None:
    key, first_block, plain, cipher = (
        bytes.fromhex(NIST[name]) for name in ("key", "first_block", "plaintext", "ciphertext")
    )
    out = bytearray(len(plain))
    open_stream(key, first_block)(memoryview(plain), memoryview(out))
    assert bytes(out) == cipher


def test_the_stream_is_that_of_the_format() -> None:
    assert keystream(KEY, 4, 32).tolist() == OURS["first_4_of_32_bit"]
    assert [str(word) for word in keystream(KEY, 4, 64)] == OURS["first_4_of_64_bit_as_text"]
    assert keystream(KEY, 65_537, 32)[65_536] == OURS["element_65536_of_32_bit"]


@rings
@pytest.mark.parametrize("over", [-1, 0, 1, 3])
@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_chunks_leave_no_seam(modulus_bits: int, chunks: int, over: int) -> None:
    length = max(0, chunks * CHUNK_BYTES * 8 // modulus_bits + over)
    stream = keystream(KEY, length, modulus_bits)
    assert stream.dtype == require_ring(modulus_bits)
    assert stream.tobytes() == encrypted_zeros(KEY, length * modulus_bits // 8)


@rings
@given(signs=st.lists(st.sampled_from([1, -1]), max_size=6), length=st.integers(0, 50))
def test_masks_add_up_as_integers_do_modulo_the_ring(modulus_bits: int, signs: list[int], length: int) -> None:
    vector = keystream(bytes(32), length, modulus_bits)
    keys = [bytes([1 + place]) * 32 for place in range(len(signs))]
    expected = [
        (start + sum(sign * int(keystream(key, length, modulus_bits)[at]) for key, sign in zip(keys, signs)))  # noqa: B905
        % 2**modulus_bits
        for at, start in enumerate(vector.tolist())
    ]
    accumulate_masks(vector, zip(keys, signs, strict=True))
    assert vector.tolist() == expected


@rings
def test_more_keys_than_ciphers_are_open_at_once(modulus_bits: int) -> None:
    keys = [(index.to_bytes(32, "big"), 1) for index in range(600)]
    vector = np.zeros(40, require_ring(modulus_bits))
    accumulate_masks(vector, iter(keys))
    with np.errstate(over="ignore"):
        expected = np.sum([keystream(key, 40, modulus_bits) for key, _ in keys], axis=0, dtype=vector.dtype)
    assert (vector == expected).all()


@rings
def test_the_masks_of_a_closed_cohort_cancel(modulus_bits: int) -> None:
    ids = [f"c{number:05}" for number in range(1, 8)]
    total = np.zeros(1000, require_ring(modulus_bits))
    for own in ids:
        pairs = [pair for pair in combinations(ids, 2) if own in pair]
        keys = [(derive(b"".join(one.encode() for one in pair), "mask", bytes(32)), pair) for pair in pairs]
        masked = np.zeros_like(total)
        accumulate_masks(masked, [(key, 1 if own == pair[0] else -1) for key, pair in keys])
        assert byte_p_value(masked) > 1e-6  # one client's mask is no zero vector itself
        total += masked
    assert not total.any()


@rings
def test_mask_bytes_are_uniform(modulus_bits: int) -> None:
    masked = np.arange(200_000, dtype=require_ring(modulus_bits))  # an update far from uniform
    assert byte_p_value(masked) < 1e-12  # negative control: the test has power
    accumulate_masks(masked, [(KEY, 1), (bytes(32), -1)])
    assert byte_p_value(masked) > 1e-6


@pytest.mark.parametrize(
    "weak",
    [
        np.full(100_000, 0x9E3779B9, np.uint32),  # one scalar for all elements, as in OpenFL 1.9
        np.random.default_rng(3).random(100_000).astype(np.float32),  # a float mask
        np.random.default_rng(3).integers(0, 2**31, 100_000, np.uint32),  # a ring that is not filled
    ],
)
def test_masks_that_are_not_uniform_are_told_apart(weak: NDArray[Any]) -> None:  # negative controls
    assert byte_p_value(weak) < 1e-12


def test_two_sessions_with_equal_secrets_have_different_masks() -> None:
    one, other = (keystream(derive(bytes(32), "mask|a|b", bytes([session]) * 32), 10_000, 32) for session in (1, 2))
    assert (one == other).mean() < 0.01
    assert byte_p_value(one - other) > 1e-6


@pytest.mark.parametrize(
    "vector",
    [
        np.zeros(4, np.int32),
        np.zeros(4, np.float64),
        np.zeros(4, ">u4"),
        np.zeros((2, 2), np.uint32),
        np.zeros(8, np.uint32)[::2],
    ],
)
def test_other_vectors_are_refused(vector: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="ring vector"):
        accumulate_masks(vector, [(KEY, 1)])


@pytest.mark.parametrize(("key", "sign"), [(bytes(16), 1), (b"", 1), (KEY, 0), (KEY, 2)])
def test_other_keys_and_signs_are_refused(key: bytes, sign: int) -> None:
    with pytest.raises(ValueError, match=r"key of 32 bytes|added"):
        accumulate_masks(np.zeros(4, np.uint32), [(key, sign)])


@pytest.mark.parametrize("modulus_bits", [16, 33, 128])
def test_other_rings_are_refused(modulus_bits: int) -> None:
    with pytest.raises(ValueError, match="32 or 64"):
        keystream(KEY, 4, modulus_bits)
