"""Which measurement answers which kind of claim: `claims.json`, read once."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import Field

from reports.nouns import Noun, Share, Word

NAME = "claims.json"


class Answer(Noun):
    """A check, and the measurement of it that a claim is held against."""

    check: Word
    """Its id; `attack.*` is every check of that name."""
    measurement: Word | None = None
    """None where the status of its finding answers."""
    bound: Literal["both", "lower", "refuted"] = "both"
    """What it can say: either, only that a claim is false, or that it refuted one at least as weak."""


class ClaimKind(Noun):
    """How one kind of claim is held against the findings."""

    says: Literal["at-most", "at-least", "equals", "nothing", "holds"]
    """What the claim means."""
    slack: Share = 0.0
    """Share by which a figure may miss before it contradicts."""
    compared: tuple[Answer, ...] = ()
    """What can answer it."""
    declared: tuple[Word, ...] = ()
    """Keys of system.toml that say the same."""
    controls: tuple[Word, ...] = ()
    """Duties that a finding on such a claim bears on."""
    documents: Annotated[Mapping[Word, tuple[Word, ...]], Field(default_factory=dict)]
    """Further duties, by the kind of the document that makes the claim."""


class _ClaimKinds(Noun):
    """The file."""

    schema_: Annotated[Literal["fedaudit.claims/1"], Field(alias="schema")]
    note: str
    kinds: dict[Word, ClaimKind]


@cache
def claim_kinds() -> Mapping[str, ClaimKind]:
    """Return every kind of claim with what answers it, in the order of the file."""
    return _ClaimKinds.model_validate(json.loads(files("compliance").joinpath(NAME).read_bytes())).kinds
