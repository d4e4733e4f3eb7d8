"""Transcripts with one fault on purpose, signed as if nothing were wrong: what a verifier must find.

One client, the culprit, stands behind the fault and signs what is recorded of it (`key-reuse`: all of them); where the
fault is in the file itself, the file is changed afterwards. Unlike `secagg.faults`, which changes a copy of somebody's
record, this writes a record that is authentic as far as its fault allows. Where drop-outs leave no share or signature
over, one that the fault spoils is missing as well: `insufficient-shares` or `missing-consistency` comes along.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.client import SecAggClient
from secagg.failures import MALICIOUS
from secagg.keys import Entropy, Identity
from secagg.messages import Message, write
from secagg.participants import Factory, Participant
from secagg.policy import ClientPolicy
from secagg.prg import keystream
from secagg.proposal import Proposal
from secagg.records import SEALED, Body, Consistency, MaskedInput, Shares, Survivors, Unmask
from secagg.server import Recorder
from secagg.setting import RoundConfig
from secagg.source import BLOBS, LINES
from secagg.weak_client import WeakClient
from secagg.wire import parse_loosely

PLANTS = (
    "double-reveal", "split-view", "missing-consistency", "key-reuse", "duplicate-key", "graph-mismatch",
    "share-digest", "commitment-mismatch", "model-mismatch", "aggregate-mismatch", "chain-broken", "bad-signature",
    "blob-digest",
)  # fmt: skip
IMPLIED: Mapping[str, frozenset[str]] = {"double-reveal": frozenset(("unrequested-share",))}
"""Codes that cannot but come along: whoever reveals both secrets of a client reveals one that nobody may ask for."""
IN_FILES = frozenset(("chain-broken", "blob-digest"))
_OTHER = hashlib.sha256(b"another").hexdigest()


def staged(config: RoundConfig, code: str) -> RoundConfig:
    """Return the round in which a fault can be planted: with the consistency check, or a named model, where needed."""
    if code in ("split-view", "missing-consistency"):
        return replace(config, server_trust=MALICIOUS)
    if code == "model-mismatch" and config.model_sha256 is None:
        return replace(config, model_sha256=hashlib.sha256(b"the model of the round").hexdigest())
    return config


def cast(code: str, culprit: str, double: str, make: Factory, entropy: Entropy) -> Factory:
    """Return what makes the clients: `make`, but for those that the fault needs otherwise.

    Args:
        code: of `PLANTS`.
        culprit: who stands behind the fault.
        double: another client.
        make: makes all others.
        entropy: gives the keys that culprit and double have in common.
    """
    secret = entropy(32)

    def made(client: str, identity: Identity | None, policy: ClientPolicy, entropy: Entropy) -> Participant:
        if code == "double-reveal" and client == culprit:
            return WeakClient(client, identity, policy, entropy)  # keeps the shares that it must not reveal
        if code == "key-reuse" and identity is not None:
            return _Reusing(client, identity, policy)
        if code == "duplicate-key":  # clients with defences would refuse
            common = _repeated(secret) if client in (culprit, double) else entropy
            return WeakClient(client, identity, policy, common)
        return make(client, identity, policy, entropy)

    return made


class PlantingRecorder:
    """Keeps what it is given, but for one thing, and lets the culprit sign that."""

    def __init__(
        self, inner: Recorder, code: str, culprit: Participant, identity: Identity, client: str, proposal: Proposal
    ) -> None:
        self._inner, self._code, self._culprit = inner, code, culprit
        self._identity, self._client, self._proposal = identity, client, proposal
        self._summing = False

    def record(self, message: Message[Any]) -> None:
        """Keep a message, the planted one instead, or none."""
        self._summing = self._summing or isinstance(message.body, Survivors)
        if message.sender != self._client:
            self._inner.record(message)
            return
        if self._code == "missing-consistency" and isinstance(message.body, Consistency):
            return
        if self._code == "bad-signature" and isinstance(message.body, Unmask) and message.signature:
            self._inner.record(replace(message, signature=message.signature[:-1] + bytes([message.signature[-1] ^ 1])))
            return
        forge = FORGERIES.get(self._code)
        body = message.body if forge is None else forge(self, message.body)
        same = body is message.body
        self._inner.record(message if same else write(body, self._client, self._proposal.session, self._identity.sign))

    def blob(self, vector: NDArray[Any]) -> str:
        """Keep a vector; of a sum perhaps another one."""
        if self._code == "aggregate-mismatch" and self._summing:
            return self._inner.blob(vector + vector.dtype.type(1))
        return self._inner.blob(vector)

    def reveal_both(self, body: Body) -> Body:
        """Add the share of a survivor's mask key."""
        if not isinstance(body, Unmask) or not isinstance(self._culprit, WeakClient):
            return body
        owner = min(body.self_mask_shares)
        return replace(body, mask_key_shares={**body.mask_key_shares, owner: self._culprit.opened[owner][0]})

    def share_with_oneself(self, body: Body) -> Body:
        """Add a recipient that the graph does not give."""
        if not isinstance(body, Shares):
            return body
        return replace(
            body,
            ciphertexts={**body.ciphertexts, self._client: bytes(SEALED)},
            share_digests={**body.share_digests, self._client: (_OTHER, _OTHER)},
        )


def _other_view(_recorder: PlantingRecorder, body: Body) -> Body:
    return Consistency(_OTHER) if isinstance(body, Consistency) else body


def _other_share(_recorder: PlantingRecorder, body: Body) -> Body:
    if not isinstance(body, Unmask):
        return body
    owner, share = min(body.self_mask_shares.items())
    return replace(body, self_mask_shares={**body.self_mask_shares, owner: bytes([share[0] ^ 1]) + share[1:]})


def _other_commitment(_recorder: PlantingRecorder, body: Body) -> Body:
    return replace(body, self_mask_commitment=_OTHER) if isinstance(body, Shares) else body


def _other_model(_recorder: PlantingRecorder, body: Body) -> Body:
    return replace(body, model_sha256=_OTHER) if isinstance(body, MaskedInput) else body


FORGERIES: Mapping[str, Callable[[PlantingRecorder, Body], Body]] = {
    "double-reveal": PlantingRecorder.reveal_both,
    "split-view": _other_view,
    "graph-mismatch": PlantingRecorder.share_with_oneself,
    "share-digest": _other_share,
    "commitment-mismatch": _other_commitment,
    "model-mismatch": _other_model,
}


def spoil_files(folder: Path, code: str) -> None:
    """Change the files of a finished transcript: `chain-broken` in the last line, `blob-digest` in a masked input.

    Raises:
        ValueError: the vectors were not kept.
    """
    path = folder / LINES
    lines = path.read_bytes().splitlines(keepends=True)
    if code == "chain-broken":
        previous = parse_loosely(lines[-1])["prev"].encode()
        lines[-1] = lines[-1].replace(b'"prev":"' + previous, b'"prev":"' + _OTHER.encode())
        path.write_bytes(b"".join(lines))
        return
    digest = next(parse_loosely(line)["body"]["blob"] for line in lines if line.rstrip().endswith(b'"masked_input"}'))
    blob = folder / BLOBS / digest
    if not blob.is_file():
        raise ValueError("blob-digest is planted in a vector, and the vectors are not kept")
    words = np.fromfile(blob, np.uint8)
    words[0] ^= 1
    words.tofile(blob)


class _Reusing(SecAggClient):
    """Takes the same keys in every round: what it draws follows from its identity, from the beginning each time."""

    def __init__(self, client: str, identity: Identity, policy: ClientPolicy) -> None:
        secret = hashlib.sha256(identity.sign(b"fedaudit plant key-reuse")).digest()
        super().__init__(client, identity, policy, _repeated(secret))


def _repeated(secret: bytes) -> Entropy:
    """Return entropy that begins anew for everybody who is given it: for planted faults alone."""
    place = 0

    def drawn(count: int) -> bytes:
        nonlocal place
        place += count
        return keystream(secret, -(-place // 4), 32).tobytes()[place - count : place]

    return drawn
