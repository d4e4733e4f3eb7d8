"""Which check answers for which violation, how much harm each does, and what in the system file would mend it."""

from collections.abc import Mapping
from typing import Literal

from reports.model import Remedy, Severity, System
from secagg.declaration import SECTION
from secagg.failures import MALICIOUS
from secagg.mends import MENDS
from secagg.violations import NOT_AUTHENTIC, VIOLATIONS

TRANSCRIPTS = f"{SECTION}.transcripts"
UNREADABLE = frozenset(("chain-broken", "malformed-record", "blob-digest"))
"""The record was changed or is none: `secagg.transcript` fails, and nothing else can be told from it."""
OWNERS: Mapping[str, str] = {
    "double-reveal": "secagg.double-reveal",
    "unrequested-share": "secagg.double-reveal",
    "split-view": "secagg.consistency",
    "missing-consistency": "secagg.consistency",
    "bad-signature": "secagg.key-authenticity",
    "unknown-identity": "secagg.key-authenticity",
    "key-reuse": "secagg.key-reuse",
    "duplicate-key": "secagg.key-reuse",
    "graph-mismatch": "secagg.graph",
    "model-mismatch": "secagg.model-consistency",
    "overflow": "secagg.overflow",
    "plaintext-metadata": "secagg.metadata",
}
"""Code to the check that fails on it; every other is `secagg.transcript`'s."""
DISCONNECTED = "disconnected"
"""Not a violation of the protocol: survivors that fall apart when some more clients are taken away."""
OTHERWISE = "declared-otherwise"
"""Not a violation of the protocol: a round that was run with other parameters than are declared."""
_MALICIOUS_ALONE = ("secagg.consistency", "secagg.key-authenticity")
_LESS: Mapping[str, Severity] = {
    "phase-order": Severity.MEDIUM,
    "bad-length": Severity.MEDIUM,
    "share-digest": Severity.MEDIUM,
    "insufficient-shares": Severity.MEDIUM,
    "unrequested-share": Severity.HIGH,
    OTHERWISE: Severity.MEDIUM,
}
"""Codes that harm less than their check's severity says."""
_KEYS: Mapping[str, tuple[str, Literal["set", "add"], str | None]] = {
    "bad-signature": (f"{SECTION}.signed_keys", "set", "true"),
    "unknown-identity": (f"{SECTION}.identities", "add", None),
    "missing-consistency": (f"{SECTION}.consistency_check", "set", "true"),
}
_TEXTS: Mapping[str, str] = {
    "unknown-identity": "Declare the identity keys of all clients, from somebody other than the server, in identities.",
}
"""Where the command line's mend speaks of an option."""


def owned_codes(check: str, system: System) -> frozenset[str]:
    """Return the codes on which a check fails.

    What the checks that are asked of a malicious server alone would answer for falls to `secagg.transcript` elsewhere:
    no violation goes unjudged.
    """
    if check != "secagg.transcript":
        return frozenset(code for code, owner in OWNERS.items() if owner == check)
    malicious = system.federation is not None and system.federation.server_trust == MALICIOUS
    elsewhere = {code for code, owner in OWNERS.items() if malicious or owner not in _MALICIOUS_ALONE}
    return (VIOLATIONS | NOT_AUTHENTIC) - elsewhere


def severity_of(codes: frozenset[str], most: Severity) -> Severity:
    """Return the harm of the worst of some codes; `most` is that of their check."""
    return max((_LESS.get(code, most) for code in codes), key=lambda severity: severity.rank, default=most)


def remedy_of(code: str) -> Remedy:
    """Return what mends a violation: the key of the system file where there is one, else what the record must show."""
    parameter, direction, value = _KEYS.get(code, (TRANSCRIPTS, "set", None))
    text = _TEXTS.get(code) or MENDS[code]
    return Remedy(parameter=parameter, direction=direction, value=value, text=text)


def _set(parameter: str, text: str, value: str | None = None) -> Remedy:
    return Remedy(parameter=parameter, direction="set", value=value, text=text)


_WITH_RECORD = "Run the rounds through the adapters of secagg.flower, whose record holds it: protocol fedaudit-secagg."
DOUBT_REMEDIES: Mapping[str, Remedy] = {
    "not-authentic": _set(
        TRANSCRIPTS, "Ask for the folder as it was written; secagg.transcript says where the record breaks."
    ),
    "incomplete-transcript": _set(TRANSCRIPTS, "Declare rounds that were recorded to their end, with the aggregate."),
    "withheld-vectors": _set(TRANSCRIPTS, "Keep the vectors beside the record (blobs/), not their digests alone."),
    "too-short": _set(TRANSCRIPTS, "Declare rounds whose vectors have more elements, some hundred at least."),
    "no-aggregate": _set(f"{SECTION}.protocol", _WITH_RECORD, "fedaudit-secagg"),
    "no-beacon": _set(f"{SECTION}.protocol", _WITH_RECORD, "fedaudit-secagg"),
    "unsigned": _set(f"{SECTION}.signed_keys", "Have every client sign every record.", "true"),
    f"missing:{SECTION}.identities": Remedy(
        parameter=f"{SECTION}.identities", direction="add", text=_TEXTS["unknown-identity"]
    ),
    "missing:model_sha256": _set(TRANSCRIPTS, "Name the model's SHA-256 in the header of every round."),
}
"""What settles a doubt, by its reason."""
