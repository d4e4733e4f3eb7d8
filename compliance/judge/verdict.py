"""From what the members read to one line of an assessment: status, answer, band, and every reason for doubt."""

from collections.abc import Sequence
from dataclasses import dataclass

from compliance.aggregate import Band, Merged, band, merge_panel, score_set
from compliance.assessment import Assessed, QuoteRecord
from compliance.documents import Document
from compliance.judge.member import MemberReading

__all__ = ["Doubts", "verdict"]

PDF = "application/pdf"
_UNCLEAR = frozenset({"unstable", "panel_disagrees", "injection_suspected", "pdf"})
"""Flags that leave no band but `unclear`."""
_SHOWS = frozenset({"supports", "partially_supports", "contradicts"})


@dataclass(frozen=True)
class Doubts:
    """What is known of reader and document beside the answers."""

    radius: int | None
    """Of the score set; None where the reader's is not known, so that no band is clear."""
    uncalibrated: bool
    """Whether readers were not measured on such a duty or such a document."""
    steered: bool
    """Whether the decoy showed a reader that was led by this document."""
    control_failed: bool
    """Whether planted excerpts or the decoy did not show that this reader tells a gap from none."""


def verdict(control: str, document: Document, members: Sequence[MemberReading], doubts: Doubts) -> Assessed:
    """Return what one document shows of one duty.

    Args:
        control: Id of the duty.
        document: That was read; of an empty one nobody was asked, and it shows nothing.
        members: One reading each; at least one.
        doubts: What else is known.
    """
    if not document.text.strip():
        return _of_nothing(control, document, doubts)
    steered = doubts.steered or any(member.steered for member in members)
    told = [merged for member in members if (merged := member.merged) is not None]
    merged = merge_panel(told) if len(told) == len(members) else None
    flags = _flags(document, members, merged, doubts, steered=steered)
    common = {
        "control": control,
        "document": document.path,
        "samples": tuple(record for member in members for record in member.records()),
        "rejected_quotes": sum(member.rejected for member in members),
    }
    if merged is None:
        stopped = any(member.status == "not_asked" for member in members)
        return Assessed(**common, status="not_asked" if stopped else "invalid_output", flags=_sorted(flags))
    if steered:
        return Assessed(**common, status="withheld", score_range=merged.score_range, flags=_sorted(flags))
    found = _band(merged, doubts.radius, flags)
    if found == "no_gap_found" and doubts.control_failed:
        flags.add("control_failed")
    return Assessed(
        **common,
        status="answered",
        answer=merged.answer,
        band=found,
        score=merged.score,
        score_range=merged.score_range,
        quotes=_quotes(document, members, merged),
        gaps=tuple(dict.fromkeys(gap for member in members for gap in member.gaps())),
        flags=_sorted(flags),
    )


def _of_nothing(control: str, document: Document, doubts: Doubts) -> Assessed:
    flags = {"empty_document"} | ({"uncalibrated"} if doubts.uncalibrated else set())
    answer = "insufficient_evidence"
    return Assessed(control=control, document=document.path, status="answered", answer=answer, flags=_sorted(flags))


def _flags(
    document: Document, members: Sequence[MemberReading], merged: Merged | None, doubts: Doubts, *, steered: bool
) -> set[str]:
    parts = [part.shown for member in members for part in member.parts]
    found = {
        "uncalibrated": doubts.uncalibrated,
        "injection_suspected": steered,
        "pdf": document.media_type == PDF,
        "fence": any(part.imitates_a_fence for part in parts),
        "no_valid_quote": any(member.unfounded for member in members),
        "unstable": merged is not None and merged.unstable,
        "panel_disagrees": merged is not None and merged.disagrees,
    }
    return {flag for flag, holds in found.items() if holds}


def _band(merged: Merged, radius: int | None, flags: set[str]) -> Band:
    """Return the band; silence has none, whatever its score: missing text is neither a gap nor the lack of one."""
    if radius is None or merged.answer not in _SHOWS or flags & _UNCLEAR:
        return "unclear"
    return band(score_set(merged.score, radius))


def _quotes(document: Document, members: Sequence[MemberReading], merged: Merged) -> tuple[QuoteRecord, ...]:
    found = {(quote.start, quote.end): quote for member in members for quote in member.founded_on(merged.answer)}
    return tuple(
        QuoteRecord(
            document_sha256=document.sha256,
            start=start,
            end=end,
            sentence=found[start, end].sentence,
            text=found[start, end].text,
        )
        for start, end in sorted(found)
    )


def _sorted(flags: set[str]) -> tuple[str, ...]:
    return tuple(sorted(flags))
