"""Planted faults: the same transcript with one thing wrong, so that a verifier that finds nothing can be doubted.

`with_fault` changes a copy in memory and chains it anew; the signature over a changed record is then wrong as well,
and a change of the header makes another session, so that much else is wrong with it. What counts is the code asked for.
"""

import base64
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from secagg.draft import CannotBePlanted, Draft, Edited, Fields
from secagg.keys import KeyPair
from secagg.records import PROTOCOL
from secagg.source import Source
from secagg.violations import NOT_AUTHENTIC, VIOLATIONS

__all__ = ["FAULTS", "CannotBePlanted", "with_fault"]

Plant = Callable[[Draft], None]
_SHARE = base64.b64encode(bytes(64)).decode()
_OTHER_DIGEST = sha256(b"another").hexdigest()


def with_fault(source: Source, code: str, *, reused_from: Source | None = None) -> Edited:
    """Return a transcript with one planted fault, for which verification must report `code`.

    Args:
        source: A transcript of our own protocol, well formed.
        code: Of `secagg.violations.VIOLATIONS` or `NOT_AUTHENTIC`.
        reused_from: For `key-reuse` alone: the round whose key is used again; without it, two clients of `source` get
            one commitment.

    Raises:
        CannotBePlanted: a ValueError; this transcript offers no place for this fault, and why.
        ValueError: no such code.
    """
    if code not in NOT_AUTHENTIC | VIOLATIONS:
        raise ValueError(f"{code!r} is no code of a violation")
    draft = Draft.of(source)
    if draft.header.get("protocol") != PROTOCOL:
        raise CannotBePlanted(f"{source.name} is no {PROTOCOL} transcript")
    if code not in FAULTS:
        raise CannotBePlanted(f"{code} concerns captures of other protocols")
    if code == "key-reuse" and reused_from is not None:
        _reuse_of(draft, Draft.of(reused_from))
    else:
        FAULTS[code](draft)
    return draft.edited()


def _chain_broken(draft: Draft) -> None:
    draft.previous[len(draft.records) - 1] = _OTHER_DIGEST


def _malformed_record(draft: Draft) -> None:
    draft.records[-1]["body"]["unknown"] = True


def _blob_digest(draft: Draft) -> None:
    for record in draft.having("masked_input"):
        digest = record["body"]["blob"]
        found = draft.base.blob(digest)
        if found is not None and found.size:
            changed = bytearray(found.tobytes())
            changed[0] ^= 1
            draft.blobs[digest] = bytes(changed)
            return
    raise CannotBePlanted("the vectors are withheld")


def _bad_signature(draft: Draft) -> None:
    for record in draft.records:
        if record["signature"] is not None:
            changed = bytearray(base64.b64decode(record["signature"]))
            changed[0] ^= 1
            record["signature"] = base64.b64encode(changed).decode()
            return
    raise CannotBePlanted("nothing in the transcript is signed")


def _unknown_identity(draft: Draft) -> None:
    first = draft.having("advertise")[0]
    place = draft.records.index(first)
    draft.insert(place, first | {"sender": _outsider(draft), "signature": None})


def _phase_order(draft: Draft) -> None:
    draft.insert(len(draft.records), draft.having("advertise")[0])


def _set_inclusion(draft: Draft) -> None:
    body = draft.having("survivors")[0]["body"]
    body["included"] = sorted([*body["included"], _outsider(draft)])


def _graph_mismatch(draft: Draft) -> None:
    body = draft.having("shares")[0]["body"]
    recipient = next(iter(body["ciphertexts"]), None)
    if recipient is None:
        raise CannotBePlanted("the first client dealt nothing")
    del body["ciphertexts"][recipient]
    body["share_digests"].pop(recipient, None)


def _duplicate_key(draft: Draft) -> None:
    first, second = _two(draft, "advertise")
    second["mask_key"] = first["mask_key"]


def _key_reuse(draft: Draft) -> None:
    first, second = _two(draft, "shares")
    second["self_mask_commitment"] = first["self_mask_commitment"]


def _reuse_of(draft: Draft, other: Draft) -> None:
    draft.having("advertise")[0]["body"]["mask_key"] = other.having("advertise")[0]["body"]["mask_key"]


def _split_view(draft: Draft) -> None:
    draft.having("consistency")[0]["body"]["survivors_sha256"] = _OTHER_DIGEST


def _missing_consistency(draft: Draft) -> None:
    answered = {record["sender"] for record in draft.having("unmask")}
    for record in draft.having("consistency"):
        if record["sender"] in answered:
            draft.records.remove(record)
            return
    raise CannotBePlanted("nobody who answered unmask had signed the survivors")


def _double_reveal(draft: Draft) -> None:
    body, owner = _answer(draft)
    body["mask_key_shares"][owner] = _SHARE


def _unrequested_share(draft: Draft) -> None:
    record = draft.having("unmask")[0]
    record["body"]["self_mask_shares"][record["sender"]] = _SHARE  # nobody holds a share of its own secret


def _share_digest(draft: Draft) -> None:
    body, owner = _answer(draft)
    changed = bytearray(base64.b64decode(body["self_mask_shares"][owner]))
    changed[0] ^= 1
    body["self_mask_shares"][owner] = base64.b64encode(changed).decode()


def _commitment_mismatch(draft: Draft) -> None:
    survivors = draft.included("survivors")
    for record in draft.having("shares"):
        if record["sender"] in survivors:
            record["body"]["self_mask_commitment"] = _OTHER_DIGEST
            return
    raise CannotBePlanted("no survivor dealt shares")


def _key_mismatch(draft: Draft) -> None:
    """Change the advertised mask key of a client that dropped out; where none did, to a key that nobody can have."""
    asked = {owner for record in draft.having("unmask") for owner in record["body"]["mask_key_shares"]}
    advertised = draft.having("advertise")
    alive = draft.included("survivors")
    dropped = [record for record in advertised if record["sender"] in asked and record["sender"] not in alive]
    key = KeyPair.from_private_bytes(sha256(b"another").digest()).public_key if dropped else bytes(32)
    (dropped or advertised)[0]["body"]["mask_key"] = base64.b64encode(key).decode()


def _insufficient_shares(draft: Draft) -> None:
    draft.having("aggregate")
    _, owner = _answer(draft)
    holding = [record["body"]["self_mask_shares"] for record in draft.having("unmask")]
    holding = [shares for shares in holding if owner in shares]
    for shares in holding[draft.header["threshold"] - 1 :]:
        del shares[owner]


def _model_mismatch(draft: Draft) -> None:
    first, second = _two(draft, "masked_input")
    first["model_sha256"] = first["model_sha256"] or sha256(b"one").hexdigest()
    second["model_sha256"] = _OTHER_DIGEST


def _overflow(draft: Draft) -> None:
    draft.header["quantization"]["levels"] = draft.header["quantization"]["max_weight"] = 2**53 - 1


def _bad_length(draft: Draft) -> None:
    draft.having("masked_input")[0]["body"]["length"] += 1


def _aggregate_mismatch(draft: Draft) -> None:
    """Announce another sum; where it is not there to be changed, one of another number of clients."""
    body = draft.having("aggregate")[0]["body"]
    found = draft.base.blob(body["blob"])
    if found is None or not found.size:
        body["survivors"] += 1
        return
    changed = bytearray(found.tobytes())
    changed[0] ^= 1
    body["blob"] = sha256(changed).hexdigest()
    draft.blobs[body["blob"]] = bytes(changed)


def _two(draft: Draft, kind: str) -> tuple[Fields, Fields]:
    found = draft.having(kind)
    if len(found) < 2:
        raise CannotBePlanted(f"there is one record of type {kind} alone")
    return found[0]["body"], found[1]["body"]


def _answer(draft: Draft) -> tuple[Fields, str]:
    """Return the body of an answer to unmask, and a survivor whose share it discloses."""
    for record in draft.having("unmask"):
        body: dict[str, Any] = record["body"]
        if body["self_mask_shares"]:
            return body, min(body["self_mask_shares"])
    raise CannotBePlanted("no share of a survivor was disclosed")


def _outsider(draft: Draft) -> str:
    ids = {client["id"] for client in draft.header["clients"]}
    return next(name for name in (f"outsider{number}" for number in range(len(ids) + 1)) if name not in ids)


FAULTS: Mapping[str, Plant] = {
    "chain-broken": _chain_broken,
    "malformed-record": _malformed_record,
    "blob-digest": _blob_digest,
    "bad-signature": _bad_signature,
    "unknown-identity": _unknown_identity,
    "phase-order": _phase_order,
    "set-inclusion": _set_inclusion,
    "graph-mismatch": _graph_mismatch,
    "duplicate-key": _duplicate_key,
    "key-reuse": _key_reuse,
    "split-view": _split_view,
    "missing-consistency": _missing_consistency,
    "double-reveal": _double_reveal,
    "unrequested-share": _unrequested_share,
    "share-digest": _share_digest,
    "commitment-mismatch": _commitment_mismatch,
    "key-mismatch": _key_mismatch,
    "insufficient-shares": _insufficient_shares,
    "model-mismatch": _model_mismatch,
    "overflow": _overflow,
    "bad-length": _bad_length,
    "aggregate-mismatch": _aggregate_mismatch,
}
"""Every code that can be planted in a transcript of our protocol."""
