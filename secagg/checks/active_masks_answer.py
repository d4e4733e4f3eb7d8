"""What is known of a system's masks, declared or measured, and the finding that follows from it."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

from reports.canonical import canonical_json
from reports.check import Context
from reports.model import (
    Basis,
    Confidentiality,
    Finding,
    Interval,
    Measurement,
    Remedy,
    SecureAggregation,
    Severity,
    Status,
    Strength,
    Threshold,
)
from secagg.checks.active import BUDGETS
from secagg.declaration import SECTION
from secagg.own_masks import weak_seeds
from secagg.weakness import Demonstration, demonstrate_weak_mask, seed_rank

LEAST_BITS = 128
CRITICAL_BITS = 64
"""Seeds of fewer bits can be tried by anybody who wants to."""
CRYPTOGRAPHIC = {"aes256-ctr": 256, "aes128-ctr": 128, "chacha20": 256}
"""Generators that are taken for unpredictable, and the bits of their keys: more a seed cannot bring in."""
PREDICTABLE = ("mt19937", "python-random")
PRG, SEED_BITS = f"{SECTION}.prg", f"{SECTION}.seed_bits"
_WEAK_SAMPLES = 256


@dataclass(frozen=True)
class Masks:
    """How masks are made."""

    generator: str | None
    cryptographic: bool | None
    """None where nothing is known of the generator."""
    seed_bits: int | None
    """None where nobody says."""
    samples: int | None = None
    """Seeds that the bits were measured on; None where they are declared."""
    basis: Basis = Basis.DECLARED
    strength: Strength = Strength.DOCUMENT
    facts: Mapping[str, object] = field(default_factory=dict)
    """What else was measured, for the evidence."""
    limitations: tuple[str, ...] = ()

    @property
    def poor(self) -> bool:
        """Whether bits or generator fall short."""
        return self.cryptographic is False or (self.seed_bits is not None and self.seed_bits < LEAST_BITS)


@dataclass(frozen=True)
class Searches:
    """The bounded search on simulated clients: against masks that can be found, and against those that cannot."""

    weak: Demonstration
    strong: Demonstration
    weak_rank: int
    """Rank of seeds of 28 bits."""

    @classmethod
    def run(cls, ctx: Context) -> "Searches":
        """Run both at the effort's bits."""
        bits = BUDGETS[ctx.effort].search_bits
        return cls(
            demonstrate_weak_mask("mt19937", bits, ctx.rng("weak masks")),
            demonstrate_weak_mask("aes256-ctr", bits, ctx.rng("strong masks")),
            seed_rank(weak_seeds(_WEAK_SAMPLES, ctx.rng("weak seeds"))),
        )

    @property
    def tells_apart(self) -> bool:
        """Whether the control holds: weak masks are found and measured as weak, strong ones are not found."""
        return self.weak.recovered and not self.strong.recovered and self.weak_rank < LEAST_BITS


def declared_masks(section: SecureAggregation) -> Masks:
    """Return what the system file says: of a generator's seed no more counts than its key takes."""
    generator = None if section.prg is None else section.prg.lower()
    cryptographic = True if generator in CRYPTOGRAPHIC else False if generator in PREDICTABLE else None
    bits = section.seed_bits
    if bits is not None and generator in CRYPTOGRAPHIC:
        bits = min(bits, CRYPTOGRAPHIC[generator])
    told = "Generator and seed are taken from the declaration; no mask was looked at."
    return Masks(section.prg, cryptographic, bits, limitations=(told,))


def answered(masks: Masks, searches: Searches | None, ctx: Context) -> Finding:
    """Return the finding; `searches` is the control of what was measured, None for what is declared."""
    status, summary, reason = _decided(masks, searches)
    severity = Severity.HIGH
    if status is Status.FAIL and masks.seed_bits is not None and masks.seed_bits <= CRITICAL_BITS:
        severity = Severity.CRITICAL
    return ctx.finding(
        status,
        summary,
        severity=severity,
        strength=masks.strength,
        basis=masks.basis,
        detail="\n".join(_detail(masks, searches)),
        measurements=_measurements(masks, searches),
        evidence=(_evidence(masks, searches, ctx),),
        remedy=_remedy() if status is Status.FAIL else None,
        limitations=masks.limitations,
        reason=reason,
    )


def _decided(masks: Masks, searches: Searches | None) -> tuple[Status, str, str]:
    """Return status, summary and reason."""
    generator = masks.generator or "an unknown generator"
    if masks.poor:
        bits = f"{masks.seed_bits} bits of seed" if masks.seed_bits is not None else "seeds of unknown size"
        kind = ", which is no cryptographic generator" if masks.cryptographic is False else ""
        return Status.FAIL, f"Masks come from {generator} with {bits}{kind}; {LEAST_BITS} bits are wanted.", ""
    if masks.cryptographic is None:
        missing = masks.generator is None and masks.basis is Basis.DECLARED
        status, reason = (Status.SKIPPED, "missing") if missing else (Status.INCONCLUSIVE, "unknown")
        return status, f"Whether {generator} can be predicted is not known here.", f"{reason}:{PRG}"
    if masks.seed_bits is None:
        return Status.SKIPPED, "The declaration does not say how many bits a mask seed has.", f"missing:{SEED_BITS}"
    if searches is not None and not searches.tells_apart:
        summary = "The search did not tell weak masks from strong ones, so nothing is shown."
        return Status.INCONCLUSIVE, summary, "control-failed"
    return Status.PASS, f"Masks come from {generator} with {masks.seed_bits} bits of seed.", ""


def _detail(masks: Masks, searches: Searches | None) -> Iterator[str]:
    if searches is None:
        return
    weak, strong = searches.weak, searches.strong
    for one in (weak, strong):
        found = "found the update" if one.recovered else "found nothing"
        yield (
            f"A search over 2^{one.search_bits} candidates of each of two {one.prg} seeds of one simulated client "
            f"{found}, with {one.streams} streams."
        )
    if masks.poor and masks.seed_bits is not None:
        yield f"All candidates of two seeds of {masks.seed_bits} bits are 2^{masks.seed_bits + 1} streams."


def _measurements(masks: Masks, searches: Searches | None) -> Iterator[Measurement]:
    if masks.seed_bits is not None:
        measured = "rank over GF(2) of the differences of seeds that reached the generator; an upper bound on entropy"
        yield Measurement(
            name="seed_bits",
            value=masks.seed_bits,
            unit="bit",
            interval=None if masks.samples is None else _rank_interval(masks.seed_bits),
            n=masks.samples,
            method="as declared" if masks.samples is None else measured,
            threshold=Threshold(op=">=", limit=LEAST_BITS),
            control=None if searches is None else searches.weak_rank,
        )
    if masks.cryptographic is not None:
        yield Measurement(
            name="cryptographic_generator",
            value=float(masks.cryptographic),
            method="by name" if masks.samples is None else "by what draws the masks",
            threshold=Threshold(op=">=", limit=1),
        )
    if searches is not None:
        like = searches.strong if masks.cryptographic else searches.weak
        yield Measurement(
            name="masks_found_by_search",
            value=float(like.recovered),
            n=1,
            method=f"meet in the middle over 2^{like.search_bits} candidates, {like.prg} masks of a simulated client; "
            "control: mt19937",
            threshold=Threshold(op="<=", limit=0),
            control=float(searches.weak.recovered),
        )


def _rank_interval(bits: float) -> Interval:
    """Return the interval of a rank over eight times as many samples as a seed has bits.

    The rank is never above the dimension of the space that seeds come from, and below it with a chance of less than
    2^(dimension + 1 - samples): both ends are the rank itself, far beyond the confidence that is stated.
    """
    return Interval(low=bits, high=bits, confidence=0.95)


def _evidence(masks: Masks, searches: Searches | None, ctx: Context) -> str:
    document = {
        "schema": "fedaudit.secagg.mask-entropy/1",
        "generator": masks.generator,
        "cryptographic": masks.cryptographic,
        "seed_bits": masks.seed_bits,
        "samples": masks.samples,
        "facts": dict(masks.facts),
        "demonstration": None if searches is None else asdict(searches),
    }
    return ctx.evidence("masks", canonical_json(document), "application/json", Confidentiality.INTERNAL)


def _remedy() -> Remedy:
    text = "Draw masks from AES-256 in counter mode, keyed with all 256 bits that the key agreement gives."
    return Remedy(parameter=PRG, direction="set", value="aes256-ctr", text=text)
