"""What can be wrong with a recorded round, by code: the shared words of everything that judges one."""

from dataclasses import dataclass

NOT_AUTHENTIC = frozenset(("chain-broken", "malformed-record", "blob-digest", "bad-signature", "unknown-identity"))
"""The record is not what it says it is: nothing else in it can be relied on."""
VIOLATIONS = frozenset(
    (
        "phase-order", "set-inclusion", "graph-mismatch", "duplicate-key", "key-reuse", "split-view",
        "missing-consistency", "double-reveal", "unrequested-share", "share-digest", "commitment-mismatch",
        "key-mismatch", "insufficient-shares", "model-mismatch", "overflow", "bad-length", "aggregate-mismatch",
        "plaintext-metadata",
    )
)  # fmt: skip
"""The record is authentic, and shows a round that broke the protocol."""


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong: `code` of the sets above, where it was seen, and a sentence."""

    code: str
    phase: str
    """The type of the record, such as `unmask`; of a Flower capture `flwr.unmask`."""
    client: str | None
    """Whose message it is, or who is exposed by it; None where it concerns nobody in particular."""
    detail: str

    def as_fields(self) -> dict[str, str | None]:
        """Return it as plain JSON values."""
        return dict(vars(self))
