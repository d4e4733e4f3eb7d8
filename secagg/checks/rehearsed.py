"""The round that a check runs for the declared one: the same where the effort allows it, else a smaller copy."""

from dataclasses import dataclass, replace

from reports.model import System
from secagg.checks.transcript_rounds import section_of
from secagg.declaration import DeclaredRound, declared_round
from secagg.limits import ParameterError
from secagg.params import InfeasibleParameters
from secagg.quantize import MOST_LEVELS, Quantization, largest_levels
from secagg.setting import RoundConfig

USUAL_CLIENTS = 8
_USUAL = Quantization(8.0, 1 << 22)


@dataclass(frozen=True)
class Rehearsed:
    """A round to simulate, and what it does not have in common with the declared one."""

    config: RoundConfig
    limitations: tuple[str, ...] = ()


def rehearsed_round(system: System, most: int, length: int) -> Rehearsed:
    """Return the declared round, of `most` clients at most; the usual numbers stand for what is not declared.

    Args:
        system: under review.
        most: clients to simulate at most.
        length: elements of an update.
    """
    declared = declared_round(system)
    told: list[str] = []
    if declared is None or not _is_possible(declared):
        told.append(
            "The declaration gives no parameters that a round can have; the guarded choice for 8 clients was run."
        )
        chosen = _guarded(DeclaredRound(USUAL_CLIENTS, 2, 2, 0.05, 0.05, "honest-but-curious"), USUAL_CLIENTS)
    else:
        chosen = scaled(declared, most)
        if chosen != declared:
            told.append(
                f"Simulated with {chosen.clients} of the declared {declared.clients} clients, degree {chosen.degree} "
                f"and threshold {chosen.threshold}: a copy, not the declared round."
            )
    rule, bits, lacking = _quantization(system, chosen.clients)
    if lacking:
        told.append(f"The declared quantization does not fit the ring; {rule.levels} levels in {bits} bits were taken.")
    config = RoundConfig(
        chosen.clients,
        length,
        chosen.degree,
        chosen.threshold,
        chosen.corrupt_fraction,
        chosen.dropout_fraction,
        chosen.server_trust,
        bits,
        rule,
        tuple(1 + row % rule.max_weight for row in range(chosen.clients)) if rule.weighting == "integer" else None,
    )
    return Rehearsed(config, tuple(told))


def scaled(declared: DeclaredRound, most: int) -> DeclaredRound:
    """Return the round with `most` clients at most.

    Degree and threshold stay where so many neighbours exist; else everybody is everybody's neighbour and the threshold
    keeps its share. Where that copy would lose rounds that the declared one does not, the guarded choice is taken.
    """
    if declared.clients <= most:
        return declared
    degree, threshold = declared.degree, declared.threshold
    if degree >= most - 1 or declared.degree == declared.clients - 1:
        degree = most - 1
        threshold = max(min(2, threshold), -(-threshold * degree // declared.degree))
    copy = replace(declared, clients=most, degree=degree, threshold=threshold)
    if declared.assess().sufficient(sigma=0) and not copy.assess().sufficient(sigma=0):
        return _guarded(copy, most)
    return copy


def _guarded(like: DeclaredRound, clients: int) -> DeclaredRound:
    like = replace(like, clients=clients)
    try:
        chosen = like.select()
    except InfeasibleParameters:  # so many drop-outs and corrupt clients that no copy is sound: take what is left
        return replace(like, degree=clients - 1, threshold=2)
    return replace(like, degree=chosen.degree, threshold=chosen.threshold)


def _is_possible(declared: DeclaredRound) -> bool:
    try:
        declared.assess()
    except ParameterError:
        return False
    return declared.clients > 2


def _quantization(system: System, clients: int) -> tuple[Quantization, int, bool]:
    """Return rule and ring as declared, and whether others had to be taken since those wrap around."""
    section = section_of(system)
    bits, weight = section.modulus_bits or 32, section.max_weight or 1
    clipping, levels = section.clipping_range or _USUAL.clipping_range, section.quantization_levels or _USUAL.levels
    if bits not in (32, 64) or levels > min(MOST_LEVELS, largest_levels(clients, bits, weight)):
        return _USUAL, 64, True
    return Quantization(clipping, levels, "integer" if weight > 1 else "uniform", weight), bits, False
