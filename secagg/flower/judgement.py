"""A captured round of Flower's SecAgg+, judged from outside and without flwr; its verdict is that of `secagg.verify`.

What cannot be judged, because Flower leaves no trace of it. Nothing is signed: keys exchanged by whoever wrote the
capture, or between it and the client, are not noticed, and authenticity is never better than `unsigned`. No share is
bound to its owner, so a wrong one is not noticed. No line follows the last and holds its digest. The sum that a server
computed passes no grid: `aggregate` is `withheld` where the shares on record give it away and `absent` where not.

Flower counts the owner's own share among `num_shares` and in the threshold, our `degree` and `threshold` count the
neighbours alone: degree = num_shares - 1. The threshold is taken as it stands. For what an honest-but-curious server
learns that is exact, since a client keeps its own share of a secret that it does not give; a survivor's seed takes one
neighbour less than is assumed, so `eta_bits` errs to the low side. Against a malicious server the assessment supposes
that a client gives one kind of share an owner; flwr 1.41.0 gives both when asked (`secagg.flower.conformance`).
"""

from collections import defaultdict
from typing import Any

from secagg.failures import HONEST_BUT_CURIOUS
from secagg.flower.captured import COLLECT, SETUP, SHARE_KEYS, CapturedRound
from secagg.flower.disclosure import judge_unmasking
from secagg.flower.records import PROTOCOL
from secagg.flower.vectors import judge_vectors
from secagg.ledger import Ledger
from secagg.limits import ParameterError
from secagg.params import Assessment, assess_parameters
from secagg.recomputation import ABSENT, WITHHELD
from secagg.source import Source
from secagg.verification import VerifiedRound

CORRUPT_FRACTION = DROPOUT_FRACTION = 0.05
"""Flower states neither; these are the defaults that our own headers have."""


def judge_capture(source: Source, server_trust: str | None = None) -> VerifiedRound:
    """Return what a captured round shows.

    Args:
        source: the capture's lines and vectors.
        server_trust: by what the parameters are assessed, `honest-but-curious` (None) or `malicious`.
    """
    ledger = Ledger()
    captured = CapturedRound(source, ledger)
    _judge_settings(captured, ledger)
    _judge_keys(captured, ledger)
    _judge_models(captured, ledger)
    _judge_clear(captured, ledger)
    withheld = judge_vectors(captured, source, ledger)
    summed = judge_unmasking(captured, ledger)
    setting, header, trust = _setting(captured), captured.header, server_trust or HONEST_BUT_CURIOUS
    clients = len(header.clients) if header else 0
    degree = _degree(setting, clients)
    return VerifiedRound(
        path=source.name,
        protocol=PROTOCOL,
        run=header.run if header else "",
        round=header.round if header else 0,
        session=captured.session,
        clients=clients,
        degree=degree,
        threshold=setting.get("threshold", 0),
        server_trust=trust,
        phases={
            name: len(captured.who(stage))
            for name, stage in zip(("advertised", "shared", "masked", "unmasked"), captured.asked, strict=True)
        },
        survivors=tuple(sorted(captured.who(COLLECT))),
        aggregate=WITHHELD if summed else ABSENT,
        aggregate_sha256=None,
        violations=ledger.violations,
        parameters=_assess(clients, degree, setting.get("threshold", 0), trust),
        complete=summed and not withheld and not source.cut_short,
        last=captured.last,
        withheld=withheld,
        members=header.clients if header else (),
        fingerprints={
            key: (name, record.node)
            for record in captured.heard(SETUP)
            for name, key in (("mask_key", record.values["pk1"]), ("share_key", record.values["pk2"]))
        },
    )


def _setting(captured: CapturedRound) -> dict[str, Any]:
    said = captured.said(SETUP)
    return dict(said[0].values) if said else {}


def _degree(setting: dict[str, Any], clients: int) -> int:
    shares: int = setting.get("share_num", 0)
    return shares if 0 < shares < clients and shares % 2 == 0 else max(0, shares - 1)  # Flower's graph rounds up


def _assess(clients: int, degree: int, threshold: int, trust: str) -> Assessment | None:
    try:
        return assess_parameters(
            clients, degree, min(threshold, degree), CORRUPT_FRACTION, DROPOUT_FRACTION, trust
        )  # all shares and the owner's own: more than our threshold can say; `eta_bits` is judged as if one less
    except ParameterError:
        return None


def _judge_settings(captured: CapturedRound, ledger: Ledger) -> None:
    """All nodes get the same parameters, and no sum of theirs can leave the ring."""
    said = captured.said(SETUP)
    for record in said[1:]:
        if record.values != said[0].values:
            ledger.add("split-view", record.TYPE, record.node, f"{record.node} was given parameters of its own")
    if not said or captured.header is None:
        return
    setting, clients = said[0].values, len(captured.header.clients)
    largest = max([1.0, *(count / setting["max_weight"] for count in _examples(captured) if setting["max_weight"] > 0)])
    most = clients * setting["target_range"] * largest
    if most >= setting["mod_range"]:
        detail = f"{clients} clients can sum to {most:.0f}, and the ring ends at {setting['mod_range']}"
        ledger.add("overflow", said[0].TYPE, None, detail)


def _examples(captured: CapturedRound) -> list[int]:
    """Return the numbers of examples that were sent in the clear."""
    records = (record for one in captured.heard(COLLECT) for record in one.clear.values())
    found = (value for record in records for key, value in record.items() if key.replace("-", "_") == "num_examples")
    return [value for value in found if type(value) is int]


def _judge_keys(captured: CapturedRound, ledger: Ledger) -> None:
    """Keys are forwarded as they came, each is one node's, and neighbourhood is mutual."""
    advertised = {one.node: (one.values["pk1"], one.values["pk2"]) for one in captured.heard(SETUP)}
    owners: dict[bytes, list[str]] = defaultdict(list)
    for node, keys in advertised.items():
        for key in keys:
            owners[key].append(node)
    for nodes in owners.values():
        if len(nodes) > 1:
            detail = (
                f"a key of {nodes[0]} is also {'its other one' if len(set(nodes)) == 1 else f'a key of {nodes[1]}'}"
            )
            ledger.add("duplicate-key", "flwr.setup", nodes[1], detail)
    forwarded: dict[str, set[str]] = defaultdict(set)
    for record in captured.said(SHARE_KEYS):
        for owner, keys in record.values.items():
            forwarded[record.node].add(owner)
            if tuple(keys) != advertised.get(owner):
                detail = f"{record.node} was given keys of {owner} that {owner} did not send"
                ledger.add("key-mismatch", record.TYPE, owner, detail)
    for node, peers in forwarded.items():
        for peer in sorted(peers):
            if peer in forwarded and node not in forwarded[peer]:
                detail = f"{peer} is a neighbour of {node}, but not the other way round"
                ledger.add("graph-mismatch", "flwr.share_keys", node, detail)


def _judge_models(captured: CapturedRound, ledger: Ledger) -> None:
    """All nodes get the same model to train."""
    said = captured.said(COLLECT)
    for record in said[1:]:
        if record.values["model_sha256"] != said[0].values["model_sha256"]:
            ledger.add("model-mismatch", record.TYPE, record.node, f"{record.node} was given a model of its own")


def _judge_clear(captured: CapturedRound, ledger: Ledger) -> None:
    """Beside mask and ciphertext, a reply says nothing of its client."""
    for record in captured.heard(COLLECT):
        names = sorted(name for one in record.clear.values() for name in _telling(one))
        if names:
            detail = f"{', '.join(names)} of {record.node} can be read by the server"
            ledger.add("plaintext-metadata", record.TYPE, record.node, detail)


def _telling(record: Any) -> list[str]:
    """Return the names of what a record tells; a status code without a message tells nothing."""
    return [
        name for name, value in record.items() if not (name == "code" and type(value) is int) and value not in ("", [])
    ]
