"""What a captured unmasking gave away: who was said to be alive or dead to whom, and the shares given for them."""

from collections import Counter, defaultdict
from collections.abc import Mapping

from secagg.flower.captured import COLLECT, SETUP, SHARE_KEYS, UNMASK, CapturedRound
from secagg.flower.records import FlowerRecord
from secagg.ledger import Ledger

SEED, MASK_KEY = "self-mask seed", "mask key"
Given = dict[tuple[str, str], set[str]]
"""Owner and kind of secret to who gave a share of it."""


def judge_unmasking(captured: CapturedRound, ledger: Ledger) -> bool:
    """Note differing views and secrets given away twice; tell whether the shares on record give away the sum."""
    _judge_views(captured, ledger)
    given = _shares(captured, ledger)
    settings = captured.said(SETUP)
    threshold = settings[0].values["threshold"] if settings else 0
    for owner in sorted({owner for owner, kind in given if kind == MASK_KEY} & {o for o, k in given if k == SEED}):
        counts = len(given[owner, MASK_KEY]), len(given[owner, SEED])
        opened = "; its vector can be read" if threshold and min(counts) >= threshold else ""
        each = f"{counts[0]} of the mask key, {counts[1]} of the seed{opened}"
        detail = f"shares of both secrets of {owner} were disclosed: {each}"
        ledger.add("double-reveal", "flwr.unmask", owner, detail)
    masked = captured.who(COLLECT)
    dropped = captured.who(SHARE_KEYS) - masked
    needed = [(owner, SEED) for owner in masked] + [(owner, MASK_KEY) for owner in dropped]
    return bool(masked and threshold) and all(len(given.get(one, ())) >= threshold for one in needed)


def _judge_views(captured: CapturedRound, ledger: Ledger) -> None:
    """All nodes are told the same of each owner, and what they are told is so."""
    masked, shared = captured.who(COLLECT), captured.who(SHARE_KEYS)
    told: dict[str, dict[str, set[str]]] = {"active": defaultdict(set), "dead": defaultdict(set)}
    for record in captured.said(UNMASK):
        for status, view in told.items():
            for owner in record.values[f"{status}_nids"]:
                view[owner].add(record.node)
                _judge_neighbour(captured, record, owner, shared, ledger)
    for owner in sorted(told["active"].keys() & told["dead"].keys()):
        alive, dead = (min(view[owner]) for view in told.values())
        detail = f"{owner} was said to be active to {alive} and dead to {dead}"
        ledger.add("split-view", "flwr.unmask", owner, detail)
    for status, wrong in (("active", told["active"].keys() - masked), ("dead", told["dead"].keys() & masked)):
        for owner in sorted(wrong):
            sent = "sent" if status == "dead" else "sent no"
            detail = f"{owner} is said to be {status}, and {sent} masked update"
            ledger.add("set-inclusion", "flwr.unmask", owner, detail)


def _judge_neighbour(
    captured: CapturedRound, record: FlowerRecord, owner: str, shared: frozenset[str], ledger: Ledger
) -> None:
    keys = captured.asked[SHARE_KEYS].get(record.node, [])
    if owner in shared and not any(owner in one.values for one in keys):
        detail = f"{record.node} is asked about {owner}, which is no neighbour"
        ledger.add("graph-mismatch", record.TYPE, record.node, detail)


def _shares(captured: CapturedRound, ledger: Ledger) -> Given:
    """Return who gave shares of what; a share's kind is that for which its owner was named in the request."""
    given: Given = defaultdict(set)
    lengths: Mapping[str, Counter[int]] = {SEED: Counter(), MASK_KEY: Counter()}
    for node, replies in captured.answered[UNMASK].items():
        requests = captured.asked[UNMASK].get(node, [])
        for place, reply in enumerate(replies):
            asked = requests[min(place, len(requests) - 1)] if requests else None
            open_: list[tuple[str, str]] = [] if asked is None else _wanted(asked)
            owners, shares = reply.values["nids"], reply.values["shares"]
            if len(owners) != len(shares):
                detail = f"{node} gave {len(shares)} shares for {len(owners)} owners"
                ledger.add("bad-length", reply.TYPE, node, detail)
            for owner, share in zip(owners, shares, strict=False):
                kind = next((kind for one, kind in open_ if one == owner), None)
                if kind is None:
                    ledger.add("unrequested-share", reply.TYPE, node, f"{node} gave a share of {owner} unasked")
                    continue
                open_.remove((owner, kind))
                given[owner, kind].add(node)
                lengths[kind][len(share)] += 1
    for kind, counts in lengths.items():
        if len(counts) > 1:
            ledger.add("bad-length", "flwr.unmask", None, f"shares of a {kind} have {len(counts)} different lengths")
    return given


def _wanted(request: FlowerRecord) -> list[tuple[str, str]]:
    """Return owner and kind of each share that a request asks for, in the order in which Flower answers."""
    active, dead = request.values["active_nids"], request.values["dead_nids"]
    return [(owner, SEED) for owner in active] + [(owner, MASK_KEY) for owner in dead]
