"""`secagg.mask-uniformity`: whether what clients sent looks like masks, or like updates with something added."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.check import Context, check
from reports.errors import FileError
from reports.model import Effort, Finding, Measurement, Remedy, Severity, Strength, System, Threshold
from reports.statistics import holm, proportion
from secagg.checks.active import CONFIDENTIALITY, TESTED
from secagg.checks.transcript_answer import Judged, judge, told, unreadable, verification_evidence
from secagg.checks.transcript_codes import TRANSCRIPTS
from secagg.checks.transcript_control import Control
from secagg.checks.transcript_question import Doubt, Found, Question
from secagg.checks.transcript_rounds import Recorded, recorded
from secagg.declaration import SECTION
from secagg.masked_vectors import MaskedVector, masked_vectors
from secagg.records import MaskedInput
from secagg.verification import VerifiedRound
from secagg.violations import Violation
from secagg.weakness import mask_uniformity, scalar_mask_score
from secagg.wire import MalformedRecord

SIGNIFICANT = 1e-6
"""A corrected p-value below it fails: one false alarm in a million runs."""
_VECTORS = {Effort.SMOKE: 20, Effort.STANDARD: 100}
"""Vectors that are looked at, over all transcripts; at full effort all."""
_ELEMENTS = {Effort.SMOKE: 1 << 16, Effort.STANDARD: 1 << 18, Effort.FULL: 1 << 24}
"""Elements of each, from the first."""
_CONTROLS = 5
"""Vectors on which weak masks are planted; each must be found out."""
_TESTS = ("the top byte", "the difference of neighbours", "the largest gap")
_NOT_UNIFORM = "not-uniform"
_MEND = Remedy(
    parameter=f"{SECTION}.prg",
    direction="set",
    value="aes256-ctr",
    text="Mask every element with its own word of a cryptographic stream over the whole ring, such as aes256-ctr.",
)
Words = NDArray[Any]


def _vectors_withheld(one: VerifiedRound) -> Iterator[Doubt]:
    if one.withheld:
        yield Doubt(one.path, "withheld-vectors", f"lacks {len(one.withheld)} vectors, so masks cannot be looked at")


_QUESTION = Question(
    sound="In {rounds} the masked vectors look uniform on the ring.",
    doubts=_vectors_withheld,
    limitations=(
        "The output of a weak generator looks uniform as well; secagg.mask-entropy asks for seeds and generator.",
    ),
)


@dataclass(frozen=True)
class Uniform:
    """How well vectors go with uniform elements, and how well their weak twins do."""

    vectors: int
    elements: int
    """Of all vectors together."""
    smallest: float
    """Smallest p-value after Holm's correction, over three tests a vector."""
    score: float
    """Largest share of the ring that one gap takes."""
    weak: Mapping[str, float]
    """Kind of weak mask to the largest corrected p-value that a vector so masked got."""
    found: tuple[Found, ...]
    doubts: tuple[Doubt, ...]
    """Vectors that cannot be tested."""


@check(
    "secagg.mask-uniformity",
    "Masked vectors look uniform on the ring",
    needs=(TRANSCRIPTS,),
    controls=(CONFIDENTIALITY, *TESTED),
    kinds=("secagg",),
    strength=Strength.STATISTICAL,
    severity=Severity.HIGH,
)
def uniformity(system: System, ctx: Context) -> Iterator[Finding]:
    """Test the top byte, the differences of neighbours and the largest gap of masked vectors for uniformity.

    A pairwise mask that is one number, a float or too short for the ring leaves the update's shape visible. Fails when
    a p-value, corrected for all tests after Holm, lies below 1e-6, and where floats travelled. Inconclusive where
    vectors are withheld or too short, and when weak masks planted on these very vectors pass (`control-failed`).
    """
    try:
        records = recorded(system, ctx)
    except (FileError, MalformedRecord) as error:
        yield unreadable(error, ctx)
        return
    judged = judge(_QUESTION, records, system, ctx)
    chosen = _chosen(records, judged, ctx)
    uniform = _tested(chosen, ctx)
    missed = tuple(f"{kind} on these vectors" for kind, p in uniform.weak.items() if p >= SIGNIFICANT)
    control = Control(len(uniform.weak), len(uniform.weak) - len(missed), missed, len({path for path, _ in chosen}))
    yield told(
        _QUESTION,
        replace(judged, found=uniform.found, doubts=(*judged.doubts, *uniform.doubts), control=control),
        ctx,
        evidence=verification_evidence(records, ctx),
        measurements=_measurements(uniform),
    )


def _chosen(records: Recorded, judged: Judged, ctx: Context) -> list[tuple[str, MaskedVector]]:
    doubted = {doubt.path for doubt in judged.doubts}
    listed = [
        (one.path, vector)
        for source, one in records.pairs
        if one.path not in doubted
        for vector in masked_vectors(source)
    ]
    most = _VECTORS.get(ctx.effort, len(listed))
    if len(listed) <= most:
        return listed
    return [listed[at] for at in sorted(ctx.rng("vectors").choice(len(listed), most, replace=False).tolist())]


def _tested(chosen: Sequence[tuple[str, MaskedVector]], ctx: Context) -> Uniform:
    """Return the tests of all vectors, and weak masks planted on the first of them."""
    tests: list[tuple[float, float, float]] = []
    tested: list[tuple[str, MaskedVector]] = []
    found: list[Found] = []
    doubts: list[Doubt] = []
    weak: dict[str, float] = {}
    elements, score, total = 0, 0.0, 3 * len(chosen)
    for number, (path, vector) in enumerate(chosen):
        if vector.foreign:
            found.append(_found(path, vector, f"{vector.client} sent {vector.foreign}, which no ring can hide"))
            continue
        words = vector.read(_ELEMENTS[ctx.effort])
        try:
            tests.append(_p_values(words, vector.modulus_bits))
        except ValueError as error:
            doubts.append(Doubt(path, "too-short", f"holds a vector of {vector.client} that shows nothing: {error}"))
            continue
        tested.append((path, vector))
        elements += words.size
        score = max(score, scalar_mask_score(words, vector.modulus_bits))
        if number < _CONTROLS:
            for kind, twin in _weak_twins(words, vector.modulus_bits):
                p = min(1.0, total * min(_p_values(twin, vector.modulus_bits)))
                weak[kind] = max(weak.get(kind, 0.0), p)
        ctx.progress(number + 1, len(chosen))
    corrected = holm(tests)
    for place in np.flatnonzero(corrected < SIGNIFICANT).tolist():
        path, vector = tested[place // 3]
        detail = f"{_TESTS[place % 3]} of the vector has p = {corrected[place]:.1e}, corrected for {total} tests"
        found.append(_found(path, vector, detail))
    smallest = float(corrected.min(initial=1.0))
    return Uniform(len(tested), elements, smallest, score, weak, tuple(found), tuple(doubts))


def _p_values(words: Words, modulus_bits: int) -> tuple[float, float, float]:
    """Return the p-values of top byte, differences and largest gap."""
    chi_square, gap = mask_uniformity(words, modulus_bits), scalar_mask_score(words, modulus_bits)
    by_gap = words.size * (1.0 - gap) ** (words.size - 1)  # of n uniform elements, a gap so large at most
    return chi_square.top_byte, chi_square.differences, min(1.0, by_gap)


def _weak_twins(words: Words, modulus_bits: int) -> Iterator[tuple[str, Words]]:
    """Yield the positive controls: what the same vector would be under masks that are none, by kind."""
    ring = np.uint64((1 << modulus_bits) - 1)
    wide = words.astype(np.uint64)
    narrow = wide >> np.uint64(max(1, modulus_bits - 22))  # as small as an update of 2^22 levels, or smaller
    yield "one number for a whole vector", (narrow + wide[0]) & ring
    yield "half of the ring", wide >> np.uint64(1)
    if modulus_bits in (32, 64):
        kind = f"f{modulus_bits // 8}"
        yield "floats", (wide.astype(np.float64) / 2.0**modulus_bits - 0.5).astype(kind)


def _found(path: str, vector: MaskedVector, detail: str) -> Found:
    return Found(path, Violation(_NOT_UNIFORM, MaskedInput.TYPE, vector.client, detail), _MEND)


def _measurements(uniform: Uniform) -> Iterator[Measurement]:
    if uniform.vectors:
        told_apart = min(uniform.vectors, len({(one.path, one.violation.client) for one in uniform.found}))
        outcomes = [place < told_apart for place in range(uniform.vectors)]
        caught = [p < SIGNIFICANT for p in uniform.weak.values()]
        control = sum(caught) / len(caught) if caught else None
        yield proportion("not_uniform", outcomes, at_most=0.0, control=control)
    yield Measurement(
        name="smallest_p_value",
        value=uniform.smallest,
        n=uniform.vectors,
        method="chi-square of top byte and of differences, largest gap; three tests a vector, Holm-corrected",
        threshold=Threshold(op=">=", limit=SIGNIFICANT),
        control=max(uniform.weak.values(), default=None),
    )
    yield Measurement(
        name="scalar_mask_score",
        value=uniform.score,
        n=uniform.elements,
        method="largest gap between elements, as a share of the ring; the largest of all vectors",
    )
