"""How a reading is set up: under which law, with which controls on the reader, and what its calibration says of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compliance.catalogue import Control
from compliance.documents import Document

if TYPE_CHECKING:
    from compliance.aireg import Item

__all__ = ["Calibrated", "Reader", "Scope"]


def _never(_control: Control, _document: Document) -> bool:
    return False


def _unknown(_readers: "Sequence[Reader]") -> "Calibrated":
    return Calibrated()


@dataclass(frozen=True)
class Calibrated:
    """What the reader's calibration says, as soon as its replies have told who it is."""

    radius: int | None = None
    """Of the score set; None where it is not this reader's."""
    measured_for: Callable[[Control, Document], bool] = _never
    """Whether it was measured on such a duty and such a document."""


@dataclass(frozen=True)
class Reader:
    """Who answered, as the replies say."""

    member: str
    """Of the panel."""
    reply_models: tuple[str, ...]
    """Names in the replies, sorted."""
    system_fingerprints: tuple[str, ...]
    """As the server sends them, sorted."""


@dataclass(frozen=True)
class Scope:
    """Under which law, and with which controls on the reader, documents are read."""

    law_version: str
    """Of the catalogue."""
    pairs: int = 0
    """Planted pairs of excerpts; with 0 there are neither excerpts nor decoys, and nothing may count as sound."""
    items: Sequence["Item"] = ()
    """Excerpts to plant, with the experts' scores."""
    every_part: bool = False
    """Whether self-assessments and unflagged concealed words are tried too."""
    calibrated: Callable[[Sequence[Reader]], Calibrated] = _unknown
    """Asked once all replies are in."""
