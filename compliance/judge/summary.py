"""What a whole reading says beside its lines: who answered, what was not put, whether members agree, what ended it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from compliance.documents import Document
from compliance.errors import ComplianceError
from compliance.judge.decoy_reading import DecoyReading
from compliance.judge.member import MemberReading
from compliance.judge.parts import uncovered
from compliance.judge.planted import PlantedReadings
from compliance.judge.question import Sample
from compliance.judge.scope import Reader

__all__ = ["agreement_of_members", "never_put", "readers", "stopped_by"]

Readings = Sequence[Sequence[MemberReading]]
"""By duty and document, one for each member."""


def readers(
    names: Sequence[str], planted: PlantedReadings, decoys: Sequence[DecoyReading], readings: Readings
) -> tuple[Reader, ...]:
    """Return who answered for each member, over every reply that came."""
    models: dict[str, set[str]] = {name: set() for name in names}
    systems: dict[str, set[str]] = {name: set() for name in names}
    for sample in _samples(decoys, readings):
        models[sample.member] |= {sample.reply_model} - {""}
        systems[sample.member] |= {sample.system_fingerprint} - {None, ""}  # type: ignore[arg-type]
    for name, items in planted.by_member.items():
        for item in items:
            models[name] |= item.reply_models
            systems[name] |= item.system_fingerprints
    return tuple(Reader(name, tuple(sorted(models[name])), tuple(sorted(systems[name]))) for name in names)


def never_put(documents: Sequence[Document], readings: Readings) -> Mapping[str, int]:
    """Return, by path, the characters of a document that some question about it was never asked of."""
    by_path = {document.path: document for document in documents}
    count = len(documents)
    found: dict[str, int] = {}
    for position, (path, document) in enumerate(by_path.items()):
        mine = [member for one in readings[position::count] for member in one]
        missed = {part.shown.part.index for one in mine for part in one.parts if part.status == "not_asked"}
        parts = {part.shown.part.index: part.shown.part for one in mine for part in one.parts}
        covered = [part for index, part in parts.items() if index not in missed]
        found[path] = uncovered(len(document.text), covered) if parts else 0
    return found


def agreement_of_members(readings: Readings) -> float | None:
    """Return Krippendorff's alpha (ordinal) of the members over what each gave a score; None for one member."""
    if not readings or len(readings[0]) < 2:
        return None
    import numpy  # 140 ms that a single reader does not need

    from compliance.agreement import krippendorff_alpha

    scores = [[numpy.nan if (merged := member.merged) is None else merged.score for member in one] for one in readings]
    return krippendorff_alpha(numpy.asarray(scores, dtype=numpy.float64).T)


def stopped_by(
    planted: PlantedReadings, decoys: Sequence[DecoyReading], readings: Readings
) -> tuple[ComplianceError, ...]:
    """Return what stopped questions, each fault once, in the order in which questions are listed."""
    items = chain.from_iterable(planted.by_member.values())
    every = chain((item.error for item in items), (sample.error for sample in _samples(decoys, readings)))
    return tuple({error.code: error for error in every if error is not None}.values())


def _samples(decoys: Sequence[DecoyReading], readings: Readings) -> Iterator[Sample]:
    for decoy in decoys:
        yield from decoy.samples
    for one in readings:
        for member in one:
            for part in member.parts:
                yield from (heard.sample for heard in (*part.heard, *part.flattered))
