"""How the masks of our own clients are made: the keys that reach the generator, and whether it is AES-256-CTR.

Both are taken from clients in a round, not from what the code says of itself.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from secagg.client import SecAggClient
from secagg.keys import Entropy, Identity
from secagg.mask_search import folded
from secagg.masking import Masking, in_ring
from secagg.policy import ClientPolicy
from secagg.quantize import Quantization
from secagg.setting import RoundConfig
from secagg.simulate import SeededUpdates, simulate_round
from secagg.weakness import seed_rank

CLIENTS, DEGREE, THRESHOLD = 320, 4, 3
"""So many clients that 256 bits can be told from fewer: 64 seeds more than bits fall short by 2^-64."""
_LENGTH = 33
"""Elements of a vector that is compared: more than two blocks of the cipher in either ring."""


@dataclass(frozen=True)
class OwnMasks:
    """What was found out about masks."""

    pairwise_bits: int
    """Rank over GF(2) of the differences of the pairwise mask keys."""
    self_mask_bits: int
    """The same of the self masks."""
    pairwise_samples: int
    self_mask_samples: int
    is_aes256_ctr: bool
    """Whether masked vectors are the quantised update plus AES-256-CTR streams (NIST SP 800-38A) of the keys."""

    @property
    def seed_bits(self) -> int:
        """The fewer of both."""
        return min(self.pairwise_bits, self.self_mask_bits)


def measure_own_masks(rng: np.random.Generator, kind: type[SecAggClient] = SecAggClient) -> OwnMasks:
    """Run a round and look at what its clients mask with.

    Args:
        rng: graph, updates and rounding; keys come from the system.
        kind: the clients that are asked.
    """
    maskings: list[Masking] = []

    class Overheard(kind):  # type: ignore[valid-type, misc]  # a class that is handed in
        def masking(self, *given: Any, **named: Any) -> Masking:
            masking: Masking = super().masking(*given, **named)
            maskings.append(masking)
            return masking

    def overheard(one: str, identity: Identity | None, policy: ClientPolicy, entropy: Entropy) -> SecAggClient:
        return Overheard(one, identity, policy, entropy)

    rule = Quantization(8.0, 1 << 16, rounding="nearest")
    config = RoundConfig(CLIENTS, 1, DEGREE, THRESHOLD, quantization=rule, required_sigma=0, required_eta=0)
    updates = SeededUpdates(int(rng.integers(2**63)), config.length)
    simulate_round(config, updates, rng=rng, client=overheard)
    self_masks = [one.keys[0][0] for one in maskings]
    pairwise = list({key for one in maskings for key, _ in one.keys[1:]})
    return OwnMasks(
        seed_rank(pairwise),
        seed_rank(self_masks),
        len(pairwise),
        len(self_masks),
        all(_is_counter_mode(one, bits) for one in maskings[:4] for bits in (32, 64)),
    )


def _is_counter_mode(masking: Masking, modulus_bits: int) -> bool:
    """Compare a masked vector of known numbers with the cipher itself, called without any code of ours between."""
    update = np.linspace(-1, 1, _LENGTH)
    rng = np.random.default_rng(0)
    expected = in_ring(update, masking.rule, modulus_bits, rng).vector.copy()
    for key, sign in masking.keys:
        expected += counter_mode(key, _LENGTH, expected.dtype) * expected.dtype.type(sign % (1 << modulus_bits))
    whole = replace(masking, modulus_bits=modulus_bits)
    return bool(np.array_equal(whole.apply(update, rng).vector, expected))


def counter_mode(key: bytes, length: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the AES-256-CTR stream of a key from a block of zeros on, as ring elements."""
    encryptor = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()
    return np.frombuffer(encryptor.update(bytes(length * dtype.itemsize)), dtype)


def weak_seeds(many: int, rng: np.random.Generator) -> Sequence[bytes]:
    """Return effective seeds as Flower 1.41 makes them of base64 text, 28 bits each: the control of a rank."""
    return [folded(base64.urlsafe_b64encode(rng.bytes(32))).to_bytes(4, "big") for _ in range(many)]
