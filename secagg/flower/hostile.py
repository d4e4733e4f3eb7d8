"""Servers that lie to Flower's own clients, one way each, and work out what they learn by it with Flower's functions.

Each stands where the messages pass (`tamper` of `InProcessGrid`). The workflow behind it is Flower's and honest, so
that all else goes as it goes in a deployment. Node 0 is the victim, node 1 colludes and hands its state over.
"""

import io
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from secagg.flower.harness import kind_of, node_id
from secagg.flower.recording import CONFIGS
from secagg.flower.rehearsal import FlowerRound, Rehearsal

if TYPE_CHECKING:
    from flwr.app import Message

    from secagg.flower.harness import Deliver

STATE = "secaggplus_state"
"""The record in which Flower's mod keeps a client's secrets between stages."""
VICTIM, COLLUDER = node_id(0), node_id(1)
CLIENTS = 6
Vector = NDArray[np.int64]


@dataclass
class Told:
    """What a node is about to be told."""

    stage: str
    node: int
    configs: Any = field(repr=False)
    """The config record of the protocol, to be changed in place."""


class Hostile:
    """A server that lies by `bend`; what nodes answer is kept for `learn`."""

    clients: ClassVar[int] = CLIENTS
    setting: ClassVar[FlowerRound] = FlowerRound(CLIENTS, 3)
    rounds: ClassVar[int] = 1

    def __init__(self) -> None:
        self.lied: set[tuple[str, int]] = set()
        """Stage and node of every lie."""
        self.keys: dict[int, tuple[bytes, bytes]] = {}
        """Public keys that each node sent: mask key, share key."""
        self.dealt: dict[int, dict[int, bytes]] = {}
        """Owner and recipient to the sealed shares."""
        self.masked: dict[int, Vector] = {}
        self.seed_shares: dict[int, list[bytes]] = defaultdict(list)
        self.key_shares: dict[int, list[bytes]] = defaultdict(list)

    def __call__(self, message: "Message", deliver: "Deliver") -> "Message":
        """Lie or not, pass the message on, and keep the answer."""
        told = Told(kind_of(message), message.metadata.dst_node_id, message.content.config_records[CONFIGS])
        if self.bend(told):
            self.lied.add((told.stage, told.node))
        reply = deliver(message)
        self.hear(told, reply)
        return reply

    def bend(self, told: "Told") -> bool:  # noqa: ARG002  (some lie elsewhere)
        """Change what a node is told; tell whether that is a lie."""
        return False

    def hear(self, told: "Told", reply: "Message") -> None:
        """Keep what a node answered."""
        if reply.has_error():
            return
        answer: dict[str, Any] = dict(reply.content.config_records[CONFIGS])
        if told.stage == "setup":
            self.keys[told.node] = answer["pk1"], answer["pk2"]
        elif told.stage == "share_keys":
            self.dealt[told.node] = dict(zip(answer["dsts"], answer["ctxts"], strict=True))
        elif "masked_params" in answer:
            array = np.load(io.BytesIO(answer["masked_params"][1]), allow_pickle=False)
            self.masked[told.node] = array.astype(np.int64)
        else:
            survivors = len(told.configs.get("active_nids", ()))
            for place, (owner, share) in enumerate(zip(answer.get("nids", ()), answer.get("shares", ()), strict=True)):
                (self.seed_shares if place < survivors else self.key_shares)[owner].append(share)

    def learn(self, run: Rehearsal) -> Vector | None:  # noqa: ARG002  (some read the colluder's state)
        """Return the victim's quantised update as worked out from all that was heard, None where it cannot be."""
        seeds, keys = self.seed_shares[VICTIM], self.key_shares[VICTIM]
        if min(len(seeds), len(keys)) < self.setting.reconstruction_threshold:
            return None
        return self.opened(combined(seeds), combined(keys))

    def opened(self, seed: bytes, private_key: bytes) -> Vector | None:
        """Return the victim's update from both its secrets."""
        pairs = {node: agreed(private_key, keys[0]) for node, keys in self.keys.items() if node != VICTIM}
        return self.unmasked(seed, pairs)

    def unmasked(self, seed: bytes, pairs: dict[int, bytes]) -> Vector | None:
        """Return the victim's update from its self-mask seed and the secret it shares with each neighbour."""
        if VICTIM not in self.masked:
            return None
        vector = self.masked[VICTIM]
        total = vector - stream(seed, len(vector))
        for node, secret in pairs.items():
            total = total - stream(secret, len(vector)) if node < VICTIM else total + stream(secret, len(vector))
        unmasked: Vector = total % self.setting.modulus_range
        return unmasked

    def quantised(self, update: NDArray[np.floating[Any]]) -> Vector:
        """Return an update in steps of the quantisation, to the nearest."""
        reach = self.setting.clipping_range
        steps = (np.clip(update, -reach, reach) + reach) * (self.setting.quantization_range / (2 * reach))
        quantised: Vector = np.rint(steps).astype(np.int64)
        return quantised


def combined(shares: list[bytes]) -> bytes:
    """Return the secret behind shares, by Flower's own function."""
    from flwr.common.secure_aggregation.crypto.shamir import combine_shares

    secret: bytes = combine_shares(shares)
    return secret


def agreed(private_key: bytes, public_key: bytes) -> bytes:
    """Return what two keys (PEM) have in common, by Flower's own function."""
    from flwr.common.secure_aggregation.crypto.symmetric_encryption import generate_shared_key
    from flwr.supercore.primitives.asymmetric import bytes_to_private_key, bytes_to_public_key

    return generate_shared_key(bytes_to_private_key(private_key), bytes_to_public_key(public_key))


def stream(seed: bytes, length: int) -> Vector:
    """Return the mask of a vector: Flower draws that of the weight, one element, first."""
    from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen

    mask: Vector = pseudo_rand_gen(seed, FlowerRound().modulus_range, [(1,), (length,)])[1]
    return mask


def key_pair() -> tuple[bytes, bytes]:
    """Return a private and a public key (PEM) as Flower makes them."""
    from flwr.supercore.primitives.asymmetric import generate_key_pairs, private_key_to_bytes, public_key_to_bytes

    private, public = generate_key_pairs()
    return private_key_to_bytes(private), public_key_to_bytes(public)
