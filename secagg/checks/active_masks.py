"""`secagg.mask-entropy`: whether masks can be found by trying their seeds."""

from collections.abc import Iterator
from dataclasses import asdict

from reports.check import Context, check
from reports.model import Basis, Finding, SecureAggregation, Severity, Status, Strength, System
from secagg.checks.active import (
    CONFIDENTIALITY,
    INSTALL,
    OWN_CODE,
    SECURITY,
    TESTED,
    Code,
    code_of,
    flower_limits,
    has_flower,
)
from secagg.checks.active_masks_answer import CRYPTOGRAPHIC, PRG, Masks, Searches, answered, declared_masks
from secagg.checks.transcript_rounds import recorded, section_of
from secagg.declaration import SECTION
from secagg.own_masks import measure_own_masks
from secagg.recomputation import EQUAL
from secagg.records import PROTOCOL

OWN_PRG = "aes256-ctr"


@check(
    "secagg.mask-entropy",
    "Mask seeds have at least 128 bits and a cryptographic generator",
    needs=(SECTION,),
    controls=(CONFIDENTIALITY, SECURITY, *TESTED),
    kinds=("secagg",),
    strength=Strength.STATISTICAL,
    severity=Severity.HIGH,
)
def mask_entropy(system: System, ctx: Context) -> Iterator[Finding]:
    """Measure how many bits reach the generator of masks, and what generator that is; else read what is declared.

    Our own clients and the installed Flower's are measured: rank of the seeds over GF(2), an upper bound on entropy. Of
    other protocols prg and seed_bits are taken as declared; where they are not, recorded rounds of our own protocol
    name the generator by that, and their sums bear it out. Fails below 128 bits and for a generator that is not
    cryptographic, critical up to 64 bits. A measured pass needs that a bounded search finds the masks of a generator
    with few seeds, not those of AES-256, and that the same rank tells seeds of 28 bits (control). Skipped where a key
    is missing; inconclusive of a generator that nothing is known of, and where code and declaration differ.
    """
    section, code = section_of(system), code_of(system)
    declared = declared_masks(section)
    if code is Code.FLOWER and has_flower():
        yield _on_flower(declared, ctx)
    elif code is Code.OWN:
        yield _on_ours(declared, section, ctx)
    elif section.prg is not None or section.seed_bits is not None:
        yield answered(declared, None, ctx)
    elif code is Code.FLOWER:
        summary = f"Flower is not installed, so its masks cannot be measured: {INSTALL}."
        yield ctx.finding(Status.SKIPPED, summary, severity=Severity.INFO, reason="extra:flower")
    elif section.transcripts:
        yield _on_records(system, ctx)
    else:
        yield answered(declared, None, ctx)


def _on_ours(declared: Masks, section: SecureAggregation, ctx: Context) -> Finding:
    """Judge our own clients, unless the declaration says of itself that they are not what runs."""
    if declared.poor:
        return answered(declared, None, ctx)
    if section.prg is not None and section.prg.lower() != OWN_PRG:
        return ctx.finding(
            Status.INCONCLUSIVE,
            f"The protocol masks with {OWN_PRG}, and {section.prg} is declared: one of the two is not what runs.",
            basis=Basis.DECLARED,
            reason=f"contradicted:{PRG}",
        )
    return answered(_measured(ctx), Searches.run(ctx), ctx)


def _measured(ctx: Context) -> Masks:
    found = measure_own_masks(ctx.rng("own masks"))
    return Masks(
        generator=OWN_PRG if found.is_aes256_ctr else f"another generator than {OWN_PRG}",
        cryptographic=found.is_aes256_ctr,
        seed_bits=found.seed_bits,
        samples=min(found.pairwise_samples, found.self_mask_samples),
        basis=Basis.MEASURED,
        strength=Strength.STATISTICAL,
        facts=asdict(found),
        limitations=(OWN_CODE, "That the system's entropy is unpredictable, no sample of it can show."),
    )


def _on_flower(declared: Masks, ctx: Context) -> Finding:
    """Judge what the installed Flower draws its masks from."""
    from secagg.flower.seeds import NotMeasurable, measure_mask_seeds

    try:
        found = measure_mask_seeds()
    except NotMeasurable as error:
        return ctx.finding(
            Status.INCONCLUSIVE,
            "The installed Flower draws its masks in a way that cannot be measured here.",
            detail=str(error),
            limitations=flower_limits("its SecAgg+ mod"),
            reason="not-measurable:flwr",
        )
    limitations = list(flower_limits(found.function))
    cryptographic, generator = found.cryptographic, found.generator
    if found.scalar:
        cryptographic = False
        limitations.append("Every element of a mask is the same number.")
    elif cryptographic is None and declared.cryptographic:
        cryptographic, generator = True, declared.generator
        limitations.append("None of NumPy's generators draws the masks; that the declared one does was not measured.")
    if declared.seed_bits is not None and declared.seed_bits != found.seed_bits:
        limitations.append(f"Declared are {declared.seed_bits} bits; {found.seed_bits} were measured.")
    if found.never_drawn:
        limitations.append("Some elements of the ring are never drawn, so that masks are not uniform either.")
    masks = Masks(
        generator,
        cryptographic,
        found.seed_bits,
        min(found.pairwise_samples, found.self_mask_samples),
        Basis.MEASURED,
        Strength.STATISTICAL,
        asdict(found),
        tuple(limitations),
    )
    return answered(masks, Searches.run(ctx), ctx)


def _on_records(system: System, ctx: Context) -> Finding:
    """Judge recorded rounds: in our own protocol a sum comes out only where masks are AES-256-CTR streams."""
    rounds = recorded(system, ctx).verification.transcripts
    if all(one.protocol == PROTOCOL and one.aggregate == EQUAL for one in rounds):
        told = "The records name the generator by their protocol, and their sums bear it out."
        unseen = "How the clients' secrets were drawn, no record shows."
        masks = Masks(
            OWN_PRG,
            cryptographic=True,
            seed_bits=CRYPTOGRAPHIC[OWN_PRG],
            basis=Basis.RECORDED,
            facts={"rounds": len(rounds)},
            limitations=(told, unseen),
        )
        return answered(masks, None, ctx)
    return ctx.finding(
        Status.SKIPPED,
        "Neither the declaration nor the recorded rounds say what the masks are drawn from.",
        basis=Basis.RECORDED,
        reason=f"missing:{PRG}",
    )
