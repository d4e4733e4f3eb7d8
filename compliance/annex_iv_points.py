"""What belongs to which point of Annex IV: keys of the system file, claims of the documents, families of checks.

A reading of ours of Regulation (EU) 2024/1689, Annex IV; a point without an entry is one that no file of ours can say
anything about, so documents and persons must.
"""

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from compliance.annex_iv_nouns import Statement
from compliance.claims_compared import SYSTEM_FILE
from reports.nouns import Noun

if TYPE_CHECKING:
    from reports.model import System

DECLARED: Mapping[str, tuple[str, ...]] = {
    "1(a)": ("system.name", "system.version", "system.provider", "system.intended_purpose", "system.placed_on_market"),
    "2(a)": ("federation.framework", "federation.aggregation", "model.checkpoint"),
    "2(b)": (
        "federation.differential_privacy.unit",
        "federation.differential_privacy.clipping_norm",
        "federation.differential_privacy.noise_multiplier",
        "federation.differential_privacy.epsilon",
        "federation.differential_privacy.delta",
        "claims.epsilon",
        "claims.delta",
    ),
    "2(c)": (
        "federation.clients",
        "federation.rounds",
        "federation.clients_per_round",
        "federation.server_trust",
        "federation.visibility",
        "model.layers",
    ),
    "2(d)": ("data",),
    "2(f)": ("unlearning",),
    "2(h)": (
        "federation.secure_aggregation.protocol",
        "federation.secure_aggregation.clients",
        "federation.secure_aggregation.degree",
        "federation.secure_aggregation.threshold",
        "federation.secure_aggregation.signed_keys",
        "federation.differential_privacy.noise_added_by",
        "claims.dropout_tolerance",
        "claims.membership_advantage",
    ),
    "3": ("model.task", "model.classes", "model.input_shape", "claims.accuracy"),
    "6": ("claims.unlearned",),
}
"""Point to the keys of system.toml that say something on it."""

CLAIMED: Mapping[str, tuple[str, ...]] = {
    "epsilon": ("2(b)", "2(h)"),
    "delta": ("2(b)", "2(h)"),
    "noise_multiplier": ("2(b)",),
    "clipping_norm": ("2(b)",),
    "clients": ("2(c)",),
    "rounds": ("2(c)",),
    "dropout_tolerance": ("2(h)",),
    "membership_advantage": ("2(h)",),
    "no_reconstruction": ("2(h)",),
    "secure_aggregation": ("2(h)",),
    "accuracy": ("3",),
    "unlearned": ("2(f)", "6"),
}
"""Kind of claim to the points that it speaks to."""

DOCUMENT_KINDS: Mapping[str, str] = {"1(h)": "instructions-for-use", "5": "risk-file"}
"""Point to the kind of document that it asks for as such."""

_EMITTED: Mapping[str, tuple[str, ...]] = {
    "membership": ("attack.membership",),
    "robustness": ("attack.poisoning",),
    "reconstruction": ("attack.*",),
    "dp": ("dp.*",),
    "secagg": ("secagg.*",),
    "unlearning": ("unlearning.*",),
    "accuracy": ("integrity.accuracy",),
    "signature": ("integrity.artifacts", "report.lineage"),
    "thresholds": ("report.thresholds-committed", "compliance.thresholds"),
}
"""Kind of evidence to the checks that emit it; a check counts for the first kind that it matches."""
MEASURED = frozenset(_EMITTED)
"""Kinds that some check measures; logs and energy are looked at by a person."""


def kind_of(check: str) -> str:
    """Return the kind of evidence that a check of ours emits; `document` for all others."""
    found = (kind for kind, globs in _EMITTED.items() if any(fnmatchcase(check, glob) for glob in globs))
    return next(found, "document")


def declared_statements(point: str, system: "System") -> Iterator[Statement]:
    """Yield what the system file says on a point, a line for each key that it gives."""
    for key in DECLARED.get(point, ()):
        for value in _values(key, system):
            yield Statement(text=f"{key} = {value}", source=SYSTEM_FILE)
    for document in system.documents:
        if document.kind == DOCUMENT_KINDS.get(point):
            told = _told({"kind": document.kind, "path": document.path.path, "sha256": document.path.sha256})
            yield Statement(text=f"documents = {told}", source=SYSTEM_FILE)


def _values(key: str, system: "System") -> Iterator[str]:
    """Yield what stands at a key: nothing where it is not given, one value for each entry of a list of tables."""
    here: object = system
    for word in key.removeprefix("system.").split("."):
        here = getattr(here, word, None)
    if here is None or here == ():
        return
    if isinstance(here, tuple) and isinstance(here[0], Noun):
        yield from (_told(one) for one in here)
    else:
        yield _told(here)


def _told(value: object) -> str:
    """Return a value as JSON, a file by its path and digest, without what was not given."""
    if isinstance(value, Noun):
        value = _bare(value.model_dump(mode="json"))
    elif hasattr(value, "isoformat"):
        value = str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _bare(value: object) -> object:
    if isinstance(value, dict):
        kept = {key: _bare(one) for key, one in value.items() if one not in (None, [], "")}
        return {key: one for key, one in kept.items() if key not in ("size", "kind") or "sha256" not in kept}
    return value
