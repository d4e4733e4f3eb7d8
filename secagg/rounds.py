"""What several rounds show that one alone does not: keys used twice, and clients that differencing sets apart."""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from secagg.cohort import isolated_clients, smallest_difference
from secagg.ledger import Ledger
from secagg.recomputation import ABSENT
from secagg.records import Advertise, Header, Shares, Unmask
from secagg.verification import CrossRound, VerifiedRound

_PHASES = {"mask_key": Advertise.TYPE, "share_key": Advertise.TYPE, "commitment": Shares.TYPE, "seed": Unmask.TYPE}


def across(rounds: Sequence[VerifiedRound]) -> CrossRound:
    """Return what the rounds show together; clients of one id are taken for one client."""
    ledger = Ledger()
    _judge_reuse(rounds, ledger)
    summed = [one for one in rounds if one.aggregate != ABSENT]
    ids = sorted(set(chain.from_iterable((*one.members, *one.survivors) for one in summed)))
    columns = {client: column for column, client in enumerate(ids)}
    participation = np.zeros((len(summed), len(ids)), np.uint8)
    for row, one in enumerate(summed):
        participation[row, [columns[client] for client in one.survivors]] = 1
    return CrossRound(
        ledger.violations,
        tuple(ids[column] for column in isolated_clients(participation)),
        smallest_difference(participation),
    )


def _judge_reuse(rounds: Sequence[VerifiedRound], ledger: Ledger) -> None:
    sessions: dict[str, str] = {}
    seen: dict[bytes, tuple[int, str, str]] = {}
    for number, one in enumerate(rounds):
        if one.session in sessions:
            detail = f"{one.path} records the session of {sessions[one.session]} once more"
            ledger.add("key-reuse", Header.TYPE, None, detail)
            continue
        sessions[one.session] = one.path
        for fingerprint, (kind, client) in one.fingerprints.items():
            before, *which = seen.setdefault(fingerprint, (number, kind, client))
            if before != number:
                detail = f"{kind} of {client} in {one.path} was {' of '.join(which)} in {rounds[before].path}"
                ledger.add("key-reuse", _PHASES.get(kind, kind), client, detail)
