"""Receipts: what a client was sent and what it answered, one after another, in the client's own keeping.

Each names the digest of the one before, so that none can be left out unseen; models are named by the SHA-256 of their
safetensors files, as in a recording. They show what a client did to whoever trusts its machine, and no more.
"""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from reports.canonical import canonical
from reports.nouns import Count, Noun, Sha256, Word
from unlearning.errors import UnlearningError
from unlearning.federated.flower.assignment import ROUND
from unlearning.federated.flower.records import digest_of
from unlearning.federated.transcript_nouns import FIRST_PREVIOUS

if TYPE_CHECKING:
    from flwr.app import Context, Message, RecordDict

__all__ = ["RECEIPTS", "Receipt", "models_in", "receipts", "round_of", "write_receipt"]

RECEIPTS = "fedaudit_receipts"
"""Config record in a client's state: the receipts, a line of canonical JSON each."""
Act = Literal["answered", "refused", "deletion-requested"]


class Receipt(Noun):
    """What became of one message."""

    act: Act
    """`answered`: something was sent; `refused`: nothing was; `deletion-requested`: from here on the client trains no
    more."""
    message: Word | None = None
    """Type of the message; None for the client's own request."""
    round: Count | None = None
    """Flower's number of the round, where the message says it."""
    received: Mapping[Word, Sha256] = {}
    """Digest of every array record that came, by name."""
    sent: Mapping[Word, Sha256] = {}
    """Of every one that went."""
    prev: Sha256 = FIRST_PREVIOUS
    """Of the receipt before."""


def receipts(context: "Context") -> tuple[Receipt, ...]:
    """Return a client's receipts, the oldest first.

    Raises:
        UnlearningError: `unlearning.receipts`, one is malformed, or does not follow the one before.
    """
    previous, found = FIRST_PREVIOUS, []
    for number, line in enumerate(_lines(context), start=1):
        try:
            receipt = Receipt.model_validate_json(line)
        except ValidationError as error:
            raise _broken(number, "is malformed") from error
        if receipt.prev != previous or canonical(receipt).decode() != line:
            raise _broken(number, "does not follow the one before")
        previous = hashlib.sha256(line.encode()).hexdigest()
        found.append(receipt)
    return tuple(found)


def write_receipt(context: "Context", receipt: Receipt) -> str:
    """Add a receipt to a client's, and return its SHA-256; `prev` is set here."""
    from flwr.app import ConfigRecord

    lines = _lines(context)
    previous = hashlib.sha256(lines[-1].encode()).hexdigest() if lines else FIRST_PREVIOUS
    line = canonical(receipt.model_copy(update={"prev": previous})).decode()
    context.state[RECEIPTS] = ConfigRecord({"lines": [*lines, line]})
    return hashlib.sha256(line.encode()).hexdigest()


def models_in(content: "RecordDict") -> dict[str, str]:
    """Return the digest of every array record of a message, by name."""
    return {name: digest_of(record) for name, record in content.array_records.items()}


def round_of(message: "Message") -> int | None:
    """Return Flower's number of the round that a message belongs to, where its config says so."""
    for record in message.content.config_records.values():
        for key in ("server-round", ROUND):
            if type(number := record.get(key)) is int and number >= 0:
                return number
    return None


def _lines(context: "Context") -> list[str]:
    record = context.state.config_records.get(RECEIPTS)
    lines = None if record is None else record.get("lines")
    return [line for line in lines if isinstance(line, str)] if isinstance(lines, list) else []


def _broken(number: int, told: str) -> UnlearningError:
    return UnlearningError("unlearning.receipts", f"receipt {number} {told}", "Ask the client for its state as it was.")
