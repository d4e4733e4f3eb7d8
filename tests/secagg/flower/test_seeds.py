"""How masks are seeded is measured: Flower as it is, and Flowers that are mended or made worse."""

import importlib
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from secagg.flower.seeds import NotMeasurable, measure_mask_seeds
from secagg.prg import keystream

pytestmark = [pytest.mark.flower, pytest.mark.slow]
MOD = "flwr.client.mod.secure_aggregation.secaggplus_mod"
HOME = "flwr.common.secure_aggregation.secaggplus_utils"


def test_flower_seeds_masks_with_28_and_32_bits() -> None:
    measured = measure_mask_seeds()
    assert (measured.pairwise_bits, measured.self_mask_bits, measured.width) == (28, 32, 32)
    assert measured.pairwise_samples >= 8 * 32
    assert measured.self_mask_samples >= 8 * 32
    assert measured.generator == "numpy.random.RandomState"
    assert measured.cryptographic is False
    assert not measured.scalar
    assert measured.never_drawn == (7,)  # randint(0, R - 1) leaves out the last element of the ring
    assert measured.seed_bits == 28
    assert measured.function == f"{HOME}.pseudo_rand_gen"


def test_the_missing_bits_are_those_of_text() -> None:
    """The oracle: Flower's own functions on keys of our own, and the folding written down again."""
    import functools
    import operator

    from flwr.common.secure_aggregation.crypto.symmetric_encryption import generate_shared_key
    from flwr.supercore.primitives.asymmetric import generate_key_pairs

    secrets = [generate_shared_key(generate_key_pairs()[0], generate_key_pairs()[1]) for _ in range(40)]
    words = [np.frombuffer(secret, "<u4") for secret in secrets]
    folded = [int(functools.reduce(operator.xor, word)) for word in words]
    assert {value & 0x80808080 for value in folded} == {(folded[0]) & 0x80808080}


def mended(seed: bytes, ring: int, shapes: list[tuple[int, ...]]) -> list[Any]:
    """A cryptographic stream under the whole seed, as Flower could draw its masks."""
    from hashlib import sha256

    lengths = [int(np.prod(shape)) for shape in shapes]
    words = keystream(sha256(seed).digest(), sum(lengths), 32).astype(np.int64) % ring
    return [part.reshape(shape) for part, shape in zip(np.split(words, np.cumsum(lengths)[:-1]), shapes, strict=True)]


def test_a_mended_generator_is_seen_to_be_mended() -> None:
    with patch.object(importlib.import_module(MOD), "pseudo_rand_gen", mended):
        measured = measure_mask_seeds()
    assert measured.seed_bits >= 250
    assert measured.generator is None
    assert measured.cryptographic is None  # not one of NumPy's: nothing is known of it
    assert measured.never_drawn == ()


def test_a_wide_seed_of_a_weak_generator_is_seen_as_both() -> None:
    def wide(seed: bytes, ring: int, shapes: list[tuple[int, ...]]) -> list[Any]:
        generator = __import__(HOME, fromlist=["np"]).np.random.default_rng(int.from_bytes(seed, "big"))
        return [generator.integers(0, ring, shape) for shape in shapes]

    wide.__module__ = HOME
    with patch.object(importlib.import_module(MOD), "pseudo_rand_gen", wide):
        measured = measure_mask_seeds()
    assert measured.seed_bits >= 250
    assert measured.generator == "numpy.random.default_rng"
    assert measured.cryptographic is False


def test_one_number_for_a_whole_vector_is_seen() -> None:
    def scalar(seed: bytes, ring: int, shapes: list[tuple[int, ...]]) -> list[Any]:
        return [np.full(shape, int.from_bytes(seed, "big") % ring, np.int64) for shape in shapes]

    with patch.object(importlib.import_module(MOD), "pseudo_rand_gen", scalar):
        assert measure_mask_seeds().scalar


def test_a_flower_that_draws_no_masks_cannot_be_measured() -> None:
    module = importlib.import_module(MOD)  # the package has a function of that name
    silent = patch.object(module, "_collect_masked_vectors", lambda *_: {"masked_params": []})
    with silent, pytest.raises(NotMeasurable, match="no mask"):
        measure_mask_seeds()
    with patch.object(module, "pseudo_rand_gen", None), pytest.raises(NotMeasurable, match="known here"):
        measure_mask_seeds()
