"""What the installed Flower's client keeps of a round's secrets, and what its replies tell beside the masked update."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from secagg.flower.conformance import flower_client
from secagg.flower.harness import node_id
from secagg.flower.recording import CONFIGS
from secagg.flower.rehearsal import FlowerRound, rehearse

if TYPE_CHECKING:
    from flwr.app import Message

    from secagg.flower.harness import Deliver

SHORTEST_SECRET = 16
"""Bytes below which nothing is taken for a key."""
_CLIENTS, _LENGTH = 5, 8
_WEIGHTS = (137, 211, 307, 401, 503)
"""Examples of each client; told apart from anything else by their values."""


@dataclass(frozen=True)
class KeptSecrets:
    """Key-sized values in a client's state after a whole round that never travelled in the clear."""

    software: str
    function: str
    finished: bool
    """Whether the round gave its sum: only then is there something to be gone."""
    fields: tuple[str, ...]
    """Names of the fields that hold them, sorted; the values are shown nowhere."""
    count: int
    private_keys: int
    """Of them, private keys that belong to a public key which was sent in this round."""


def kept_secrets() -> KeptSecrets:
    """Run one whole round and look into the first client's state."""
    public: list[bytes] = []

    def listen(message: "Message", deliver: "Deliver") -> "Message":
        public.extend(data for _, data in _bytes(message.content.config_records.items()))
        reply = deliver(message)
        if not reply.has_error():
            public.extend(data for _, data in _bytes(reply.content.config_records.items()))
        return reply

    run = rehearse(np.zeros((_CLIENTS, _LENGTH)), None, FlowerRound(_CLIENTS, 3), tamper=listen)
    travelled = frozenset(public)
    state = run.grid.contexts[node_id(0)].state
    held = [(name, data) for name, data in _bytes(state.config_records.items()) if data not in travelled]
    held = [(name, data) for name, data in held if len(data) >= SHORTEST_SECRET]
    return KeptSecrets(
        software=f"flwr {version('flwr')}",
        function=flower_client(),
        finished=run.mean is not None,
        fields=tuple(sorted({name for name, _ in held})),
        count=len(held),
        private_keys=sum(_public_key(data) in travelled for _, data in held),
    )


@dataclass(frozen=True)
class ClearText:
    """What the server reads of single clients in the stage in which the masked updates travel."""

    software: str
    function: str
    fields: tuple[str, ...]
    """Names of what stands beside the masked update, `record.key`, sorted."""
    weight_told: bool
    """Whether the number of examples that a client was given stands there as it is."""


def told_in_clear() -> ClearText:
    """Run one round whose clients have known weights and metrics, and read their replies."""
    seen: dict[int, list[tuple[str, Any]]] = {}

    def listen(message: "Message", deliver: "Deliver") -> "Message":
        reply = deliver(message)
        if not reply.has_error() and "masked_params" in reply.content.config_records.get(CONFIGS, {}):
            seen[message.metadata.dst_node_id] = [
                (f"{name}.{key}", value)
                for name, record in reply.content.items()
                if name != CONFIGS and not name.endswith(".status")  # a status code is that of the program
                for key, value in record.items()
            ]
        return reply

    rehearse(np.zeros((_CLIENTS, _LENGTH)), _WEIGHTS, FlowerRound(_CLIENTS, 3), tamper=listen)
    told = [weight in [value for _, value in seen.get(node_id(i), ())] for i, weight in enumerate(_WEIGHTS)]
    names = tuple(sorted({name for fields in seen.values() for name, _ in fields}))
    return ClearText(f"flwr {version('flwr')}", flower_client(), names, any(told))


def _bytes(records: Any) -> Iterator[tuple[str, bytes]]:
    """Yield the field's name and each value of bytes in config records."""
    for _, record in records:
        for key, value in record.items():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, bytes):
                    yield key.partition(":")[0], one


def _public_key(data: bytes) -> bytes | None:
    """Return the public key (PEM) of a private one, None where it is none."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        key = load_pem_private_key(data, None)
    except ValueError:
        return None
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
