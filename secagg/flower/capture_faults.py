"""A capture with one planted fault, so that a judgement that finds nothing can be doubted (`secagg.faults`: ours).

The chain is written anew over the changed lines (but for the faults of the chain), as a forger would.
"""

from collections.abc import Callable, Iterator

from secagg.draft import CannotBePlanted, Draft, Edited, Fields
from secagg.flower.records import FROM, PROTOCOL, TO
from secagg.source import Source
from secagg.wire import encode_bytes

Plant = Callable[[Draft], None]


def with_capture_fault(source: Source, code: str, *, reused_from: Source | None = None) -> Edited:
    """Return a captured round with one planted fault, which `judge_capture` must name `code`.

    Args:
        source: a capture, well formed.
        code: of `CAPTURE_FAULTS`, or `key-reuse`.
        reused_from: for `key-reuse` alone, which shows between two rounds: the one whose keys are used again.

    Raises:
        CannotBePlanted: a ValueError; this capture offers no place for this fault, or none does.
    """
    draft = Draft.of(source)
    if draft.header.get("protocol") != PROTOCOL:
        raise CannotBePlanted(f"{source.name} is no {PROTOCOL} capture")
    if code == "key-reuse" and reused_from is not None:
        before = _one(Draft.of(reused_from), "setup", FROM)
        _one(draft, "setup", FROM)["pk1"] = before["pk1"]
    elif code in _PLANTS:
        _PLANTS[code](draft)
    else:
        raise CannotBePlanted(f"a capture cannot show {code}")
    return draft.edited()


def _bodies(draft: Draft, stage: str, direction: str) -> Iterator[Fields]:
    bodies: Iterator[Fields] = (record["body"] for record in draft.having(f"flwr.{stage}"))
    return (body for body in bodies if body["direction"] == direction)


def _one(draft: Draft, stage: str, direction: str) -> Fields:
    found = next(_bodies(draft, stage, direction), None)
    if found is None:
        raise CannotBePlanted(f"the capture ended before {stage}")
    return found


def _neighbour(keys: Fields) -> str:
    """Return a neighbour of the node that the keys were sent to."""
    found = [key for key in sorted(keys) if key.isdecimal() and key != keys["node"]]
    if not found:
        raise CannotBePlanted("a node has no neighbour")
    return found[0]


def _broken_chain(draft: Draft) -> None:
    draft.previous[len(draft.records) - 1] = "f" * 64


def _malformed(draft: Draft) -> None:
    draft.records[-1]["body"]["direction"] = "sideways"


def _other_words(draft: Draft) -> None:
    """A masked update is exchanged for another of the same length."""
    for body in _bodies(draft, "collect_masked_vectors", FROM):
        for array in body["masked_params"]:
            found = draft.base.blob(array["blob"])
            if found is not None and found.size:
                draft.blobs[array["blob"]] = bytes(byte ^ 1 for byte in found.tobytes())
                return
    raise CannotBePlanted("the vectors are withheld")


def _late_setup(draft: Draft) -> None:
    draft.insert(len(draft.records), draft.having("flwr.setup")[0])


def _ghost(draft: Draft) -> None:
    """A node is said to be alive of which no masked update ever came."""
    owner = _one(draft, "unmask", TO)["active_nids"][0]
    [reply] = [one for one in draft.having("flwr.collect_masked_vectors") if one["sender"] == owner]
    draft.records.remove(reply)


def _one_sided(draft: Draft) -> None:
    """A node is left without one of its neighbours, which has it as one."""
    keys = _one(draft, "share_keys", TO)
    del keys[_neighbour(keys)]


def _twin_keys(draft: Draft) -> None:
    one, other, *_ = _bodies(draft, "setup", FROM)
    other["pk2"] = one["pk2"]


def _other_keys(draft: Draft) -> None:
    """The server passes on keys of its own."""
    keys = _one(draft, "share_keys", TO)
    keys[_neighbour(keys)] = [encode_bytes(b"own"), encode_bytes(b"too")]


def _other_view(draft: Draft) -> None:
    """One node hears that a neighbour is dead, the others that it is alive."""
    request = _one(draft, "unmask", TO)
    owner = next(one for one in request["active_nids"] if one != request["node"])
    request["active_nids"].remove(owner)
    request["dead_nids"].append(owner)


def _both_secrets(draft: Draft) -> None:
    """One node is asked for both shares of a neighbour, and gives them."""
    reply = _one(draft, "unmask", FROM)
    [request] = [body for body in _bodies(draft, "unmask", TO) if body["node"] == reply["node"]]
    request["dead_nids"].append(request["active_nids"][0])
    reply["nids"].append(request["active_nids"][0])
    reply["shares"].append(encode_bytes(bytes(324)))


def _unasked(draft: Draft) -> None:
    reply = _one(draft, "unmask", FROM)
    reply["nids"].append(reply["nids"][0])
    reply["shares"].append(reply["shares"][0])


def _other_model(draft: Draft) -> None:
    _one(draft, "collect_masked_vectors", TO)["model_sha256"] = "0" * 64


def _too_many_levels(draft: Draft) -> None:
    for body in _bodies(draft, "setup", TO):
        body["target_range"] = body["mod_range"] - 1


def _longer(draft: Draft) -> None:
    array = _one(draft, "collect_masked_vectors", FROM)["masked_params"][-1]
    array["shape"] = [size + 1 for size in array["shape"]]


def _outspoken(draft: Draft) -> None:
    _one(draft, "collect_masked_vectors", FROM)["clear"] = {"fitres.metrics": {"train_loss": "0.5"}}


_PLANTS: dict[str, Plant] = {
    "chain-broken": _broken_chain,
    "malformed-record": _malformed,
    "blob-digest": _other_words,
    "phase-order": _late_setup,
    "set-inclusion": _ghost,
    "graph-mismatch": _one_sided,
    "duplicate-key": _twin_keys,
    "key-mismatch": _other_keys,
    "split-view": _other_view,
    "double-reveal": _both_secrets,
    "unrequested-share": _unasked,
    "model-mismatch": _other_model,
    "overflow": _too_many_levels,
    "bad-length": _longer,
    "plaintext-metadata": _outspoken,
}
CAPTURE_FAULTS = frozenset(_PLANTS)
"""The codes that one capture alone can show."""
