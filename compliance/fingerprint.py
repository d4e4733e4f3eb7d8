"""Which reader a calibration speaks of: the model, where it answers, and how it is asked."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from reports.nouns import Count, FiniteNumber, Noun, Sha256, Text, Word

if TYPE_CHECKING:
    from compliance.llm.panel import MemberSettings

__all__ = ["Fingerprint", "panel_fingerprint", "reader_fingerprint"]

_AND = " + "


class Fingerprint(Noun):
    """A reader; neither seed nor the number of samples belongs to it."""

    model: Word
    """The name that was asked for."""
    reply_model: Text = ""
    """The name in the replies; several in the order of the alphabet."""
    system_fingerprint: Text | None = None
    """What the server says of itself, where it does."""
    host: Word
    """Host and port that were asked."""
    temperature: FiniteNumber
    """Of sampling."""
    top_p: FiniteNumber
    """Of sampling."""
    max_tokens: Count
    """Of one answer."""
    prompt_sha256: Sha256
    """Of the fixed words of a question."""
    schema_sha256: Sha256
    """Of the form of an answer."""
    dataset_sha256: Sha256 | None = None
    """Of the items that were read; None for a reader at work, who has no data set of its own."""

    def same_reader(self, other: "Fingerprint") -> bool:
        """Tell whether `other` is this reader; data sets are compared where both have one."""
        if self.dataset_sha256 is None or other.dataset_sha256 is None:
            without = {"dataset_sha256": None}
            return self.model_copy(update=without) == other.model_copy(update=without)
        return self == other


def panel_fingerprint(members: Sequence[Fingerprint]) -> Fingerprint:
    """Return the fingerprint of members that read together, in whatever order; one member is its own.

    Raises:
        ValueError: there is no member, or they are asked in different ways.
    """
    if (
        len({(one.temperature, one.top_p, one.max_tokens, one.prompt_sha256, one.schema_sha256) for one in members})
        != 1
    ):
        raise ValueError("a panel is one or more readers that are asked in one way")
    ordered = sorted(members, key=lambda one: (one.model, one.host))
    systems = [one.system_fingerprint or "" for one in ordered]
    return ordered[0].model_copy(
        update={
            "model": _AND.join(one.model for one in ordered),
            "reply_model": _AND.join(one.reply_model for one in ordered),
            "system_fingerprint": _AND.join(systems) if any(systems) else None,
            "host": _AND.join(one.host for one in ordered),
        }
    )


def reader_fingerprint(
    settings: "MemberSettings",
    reply_models: Iterable[str],
    system_fingerprints: Iterable[str],
    *,
    dataset_sha256: str | None = None,
) -> Fingerprint:
    """Return the fingerprint of a member that was asked, from its settings and what its replies say of it.

    Args:
        settings: How it was asked.
        reply_models: Names in its replies.
        system_fingerprints: What its server said of itself; none where it says nothing.
        dataset_sha256: Of the items of a calibration; None for a reader at work.
    """
    from compliance.judge.answer import SCHEMA_SHA256
    from compliance.judge.prompt import PROMPT_SHA256

    return Fingerprint(
        model=settings.model,
        reply_model=_AND.join(sorted(set(reply_models))),
        system_fingerprint=_AND.join(sorted(set(system_fingerprints))) or None,
        host=settings.host,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_tokens,
        prompt_sha256=PROMPT_SHA256,
        schema_sha256=SCHEMA_SHA256,
        dataset_sha256=dataset_sha256,
    )
