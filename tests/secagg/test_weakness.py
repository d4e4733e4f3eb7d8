"""Strong masks pass, weak ones are found: MT19937 with few seed bits, one number for a vector, floats."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from secagg.mask_search import LEVELS_BITS, folded, meet_in_the_middle, mersenne_words
from secagg.prg import keystream
from secagg.weakness import demonstrate_weak_mask, mask_uniformity, scalar_mask_score, seed_rank

ALPHA = 1e-6


def update(length: int, modulus_bits: int) -> NDArray[Any]:
    """A quantised update: a narrow hump in the middle of 2^22 levels."""
    levels = np.random.default_rng(length).normal(2**21, 2**17, length)
    return levels.astype(f"u{modulus_bits // 8}")


def rank_by_elimination(seeds: list[bytes]) -> int:
    bits = np.array([np.unpackbits(np.frombuffer(seed, np.uint8)) for seed in seeds])
    rows, rank = (bits[1:] ^ bits[0]).astype(bool), 0
    for column in range(rows.shape[1]):
        below = np.flatnonzero(rows[rank:, column]) + rank
        if below.size:
            rows[[rank, below[0]]] = rows[[below[0], rank]]
            rows[[i for i in range(len(rows)) if i != rank and rows[i, column]]] ^= rows[rank]
            rank += 1
    return rank


@pytest.mark.parametrize("varying", [0, 1, 7, 28, 63])
def test_the_rank_is_the_number_of_bits_that_vary(varying: int) -> None:
    rng = np.random.default_rng(varying)
    mixing = rng.integers(0, 2, (64, 64))  # the bits that vary are hidden in combinations of all
    seeds = []
    for _ in range(8 * 64):
        state = np.append(rng.integers(0, 2, varying), np.ones(64 - varying, np.int64))
        seeds.append(np.packbits((mixing @ state) % 2).tobytes())
    assert seed_rank(seeds) == rank_by_elimination(seeds) <= varying
    assert seed_rank(seeds) >= varying - 5  # a random square over GF(2) lacks a few ranks at most


def test_seeds_of_a_good_generator_have_full_rank() -> None:
    rng = np.random.default_rng(1)
    assert seed_rank([rng.bytes(32) for _ in range(8 * 256)]) == 256


@pytest.mark.parametrize("seeds", [[], [b"1"], [b"1", b"22"]])
def test_a_rank_needs_two_seeds_of_one_length(seeds: list[bytes]) -> None:
    with pytest.raises(ValueError, match="two seeds"):
        seed_rank(seeds)


@pytest.mark.parametrize("modulus_bits", [32, 64])
@pytest.mark.parametrize("length", [21, 100, 5000, 100_000])
def test_aes_masks_pass(length: int, modulus_bits: int) -> None:
    for key in range(5):
        masked = update(length, modulus_bits) + keystream(bytes([key]) * 32, length, modulus_bits)
        found = mask_uniformity(masked, modulus_bits)
        assert min(found.top_byte, found.differences) > 1e-4
        assert scalar_mask_score(masked, modulus_bits) < 20 * np.log(length) / length


def test_p_values_are_level_on_uniform_vectors() -> None:
    rng = np.random.default_rng(2)
    found = [mask_uniformity(rng.integers(0, 2**32, 3000, dtype=np.uint32), 32) for _ in range(1000)]
    for values in ([one.top_byte for one in found], [one.differences for one in found]):
        for level in (0.05, 0.5):
            assert abs(np.mean(np.array(values) < level) - level) < 5 * (level * (1 - level) / 1000) ** 0.5


@pytest.mark.parametrize("modulus_bits", [32, 64])
def test_one_number_for_all_elements_is_found(modulus_bits: int) -> None:
    """OpenFL 1.9 masks so (`openfl/utilities/secagg/crypto.py`)."""
    masked = update(2000, modulus_bits) + keystream(bytes(32), 1, modulus_bits)
    found = mask_uniformity(masked, modulus_bits)
    assert max(found.top_byte, found.differences) < ALPHA
    assert scalar_mask_score(masked, modulus_bits) > 0.99


def test_a_mask_that_repeats_is_found_by_the_differences() -> None:
    period = keystream(bytes(32), 2, 32)
    ramp = (np.arange(4096, dtype=np.uint32) * np.uint32(2**20)) + np.tile(period, 2048)
    found = mask_uniformity(ramp, 32)
    assert found.top_byte > ALPHA > found.differences


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_masks_are_found(dtype: Any) -> None:
    rng = np.random.default_rng(3)
    masked = (rng.normal(size=5000) + rng.uniform(-1e6, 1e6, 5000)).astype(dtype)
    assert mask_uniformity(masked, 8 * masked.itemsize).top_byte < ALPHA


def test_values_beyond_half_of_the_ring_are_missed() -> None:
    masked = np.random.default_rng(4).integers(0, 2**31, 5000)
    assert mask_uniformity(masked, 32).top_byte < ALPHA
    assert scalar_mask_score(masked, 32) > 0.49


@pytest.mark.parametrize(
    ("vector", "modulus_bits"),
    [
        (np.zeros((2, 2), np.uint32), 32),
        (np.array(["1"]), 32),
        (np.array([1 << 33]), 32),
        (np.array([-1]), 32),
        (np.zeros(20, np.uint32), 32),
        (np.zeros(99, np.uint32), 65),
    ],
    ids=["matrix", "text", "too large", "negative", "too short", "no ring"],
)
def test_what_is_no_masked_vector_is_refused(vector: NDArray[Any], modulus_bits: int) -> None:
    with pytest.raises(ValueError, match=r"vector|ring|elements|modulus_bits"):
        mask_uniformity(vector, modulus_bits)


@pytest.mark.parametrize("search_bits", [1, 8, 12])
@pytest.mark.parametrize("seed", range(3))
def test_the_search_reads_an_update_under_mersenne_twister_masks(search_bits: int, seed: int) -> None:
    shown = demonstrate_weak_mask("mt19937", search_bits, np.random.default_rng(seed))
    assert (shown.recovered, shown.streams, shown.seed_bits) == (True, 2 << search_bits, 28)


@pytest.mark.parametrize("seed", range(3))
def test_the_same_search_finds_nothing_under_aes(seed: int) -> None:
    shown = demonstrate_weak_mask("aes256-ctr", 10, np.random.default_rng(seed))
    assert (shown.recovered, shown.fitting_pairs, shown.seed_bits) == (False, 0, 256)


@pytest.mark.slow
def test_the_search_of_most_bits_succeeds() -> None:
    assert demonstrate_weak_mask("mt19937", 20, np.random.default_rng(5)).recovered


@pytest.mark.parametrize("search_bits", [-1, 0, 21, 28, 32])
def test_no_search_goes_beyond_twenty_bits(search_bits: int) -> None:
    with pytest.raises(ValueError, match="1 to 20"):
        demonstrate_weak_mask("mt19937", search_bits, np.random.default_rng(0))


def test_a_generator_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="mt19937 or aes256-ctr"):
        demonstrate_weak_mask("chacha20", 8, np.random.default_rng(0))


def test_meeting_in_the_middle_finds_what_comparing_all_pairs_finds() -> None:
    rng = np.random.default_rng(6)
    streams = rng.integers(0, 2**32, (64, 16), dtype=np.uint32)
    rest = rng.integers(0, 2**32, (64, 16), dtype=np.uint32)
    for i, j in ((3, 5), (3, 9), (60, 5)):  # planted: with the least, the largest and random levels
        rest[i] = streams[j] + rng.integers(0, 2**LEVELS_BITS, 16, dtype=np.uint32)
    rest[7], rest[8] = streams[1], streams[2] + np.uint32(2**LEVELS_BITS)
    fits = (rest[:, None] - streams[None] <= 2**LEVELS_BITS).all(axis=2)
    assert sorted(meet_in_the_middle(rest, streams)) == [(int(i), int(j)) for i, j in np.argwhere(fits)]
    assert fits.sum() >= 4


def test_the_words_are_those_of_numpys_mersenne_twister() -> None:
    seeds = np.array([0, 1, 624, 2**31, 2**32 - 1], np.uint32)
    for seed, words in zip(seeds, mersenne_words(seeds, 227), strict=True):
        drawn = np.random.RandomState(int(seed)).randint(0, 2**32 - 1, 227, dtype=np.int64)
        np.testing.assert_array_equal(words, drawn)


@pytest.mark.flower
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what flwr imports
def test_flowers_own_functions_fold_and_draw_so() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from flwr.common.secure_aggregation.crypto.symmetric_encryption import generate_shared_key
    from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen

    shared = [
        generate_shared_key(
            ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1()).public_key()
        )
        for _ in range(8 * 32)
    ]
    for seed in shared[:5]:
        [theirs] = pseudo_rand_gen(seed, 2**32, [(16,)])
        np.testing.assert_array_equal(mersenne_words(np.array([folded(seed)], np.uint32), 16)[0], theirs)
    assert seed_rank([folded(seed).to_bytes(4, "little") for seed in shared]) == 28


def test_the_simulated_seeds_vary_in_the_bits_that_are_stated() -> None:
    from secagg.mask_search import _GENERATORS

    rng = np.random.default_rng(7)
    for generator in _GENERATORS.values():
        seeds = [generator.draw(rng) for _ in range(8 * generator.seed_bits)]
        assert seed_rank(seeds) == generator.seed_bits
