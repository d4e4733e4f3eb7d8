"""Whether the settings of a DP trainer are those that are declared, and such as its accountant assumes.

Read from data (`audit.dp.record`): nothing of the trainer runs. The rules are Opacus' own assumptions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from audit.dp.record import DPRecord
from reports.model import DifferentialPrivacy, Severity

SECTION = "federation.differential_privacy"
TOLERANCE = 1e-6
"""Relative, and absolute below one."""


@dataclass(frozen=True)
class ConfigurationFault:
    """One setting that is not as declared, or not as the accountant assumes."""

    severity: Severity
    """high: the claim does not follow; medium: it follows on an assumption that is weaker than it need be."""
    parameter: str
    """Path into system.toml."""
    direction: Literal["raise", "lower", "set", "add", "remove"]
    """What would mend it."""
    value: str | None
    """To which value, where one can be named."""
    text: str
    """A sentence."""


def configuration_faults(
    record: DPRecord, declaration: DifferentialPrivacy, layers: Sequence[Mapping[str, Any]] = ()
) -> tuple[ConfigurationFault, ...]:
    """Return what speaks against a trainer's settings, the grave first.

    Args:
        record: What the trainer did.
        declaration: What is declared; a key that is not given is not compared (`undeclared` names it).
        layers: The model's layer list, entries of `layers.json`; empty where there is none.
    """
    found = [
        *_of_history(record, declaration),
        *_of_sampling(record, declaration),
        *_of_model(record, layers),
        *_of_noise(record, declaration),
        *_of_accountant(record, declaration),
    ]
    return tuple(sorted(found, key=lambda fault: -fault.severity.rank))


def undeclared(declaration: DifferentialPrivacy) -> tuple[str, ...]:
    """Return the keys without which the record has nothing to be compared with."""
    needed = ["noise_multiplier", "steps", "clipping_norm"]
    if declaration.sampling != "full":
        needed.insert(1, "sampling_rate")
    return tuple(key for key in needed if getattr(declaration, key) is None)


def layer_types(layers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the type of every layer of a layer list, those inside of others too."""
    for layer in layers:
        yield str(layer.get("type", ""))
        inside = layer.get("layers")
        if isinstance(inside, list | tuple):
            yield from layer_types([one for one in inside if isinstance(one, Mapping)])


def _of_history(record: DPRecord, declaration: DifferentialPrivacy) -> Iterator[ConfigurationFault]:
    if not record.history:
        yield _high("record", "set", None, "The accountant counted no step, so it accounts for nothing.")
        return
    rate = 1.0 if declaration.sampling == "full" else declaration.sampling_rate
    for key, declared, column, words in (
        ("noise_multiplier", declaration.noise_multiplier, 0, "noise multiplier"),
        ("sampling_rate", rate, 1, "sampling rate"),
    ):
        counted = [entry[column] for entry in record.history]
        if declared is not None and not all(_equal(value, declared) for value in counted):
            furthest = max(counted, key=lambda value: abs(value - declared))
            text = f"The accountant counted steps with {words} {furthest:.7g}; {declared:.7g} is declared."
            yield _high(key, "set", f"{furthest:.7g}", text)
    steps = sum(entry[2] for entry in record.history)
    if declaration.steps is not None and steps != declaration.steps:
        text = f"The accountant counted {steps} steps; {declaration.steps} are declared."
        yield _high("steps", "raise" if steps > declaration.steps else "lower", str(steps), text)


def _of_sampling(record: DPRecord, declaration: DifferentialPrivacy) -> Iterator[ConfigurationFault]:
    everybody = all(_equal(entry[1], 1.0) for entry in record.history)
    if not record.poisson_sampling and not everybody:
        text = "Batches were not drawn by coins for each example (Poisson sampling), as the accountant assumes."
        if declaration.sampling in (None, "poisson"):
            yield _high("sampling", "set", "shuffle", text)
        else:
            mend = f"{text} With {declaration.sampling} sampling its epsilon is too low."
            yield _medium("accountant", "set", "full participation", mend)
    if record.expected_batch_size is None:
        return
    for _, rate, _ in record.history:
        expected = rate * record.dataset_size
        if abs(record.expected_batch_size - expected) >= 1 + TOLERANCE * expected:  # Opacus rounds down
            text = (
                f"Gradients were divided by a batch of {record.expected_batch_size}; the sampling rate gives "
                f"{expected:.6g} of {record.dataset_size} examples, so one of the two is of another run."
            )
            yield _high("sampling_rate", "set", f"{record.expected_batch_size / record.dataset_size:.7g}", text)
            return


def _of_model(record: DPRecord, layers: Sequence[Mapping[str, Any]]) -> Iterator[ConfigurationFault]:
    named = sorted({name for name in (*record.modules, *layer_types(layers)) if "BatchNorm" in name})
    if named:
        text = (
            f"The model holds {', '.join(named)}: it mixes the examples of a batch, so no bound on one of them holds."
        )
        yield ConfigurationFault(Severity.HIGH, "model.layers", "set", "GroupNorm", text)


def _of_noise(record: DPRecord, declaration: DifferentialPrivacy) -> Iterator[ConfigurationFault]:
    norm = declaration.clipping_norm
    if norm is not None and not _equal(record.max_grad_norm, norm):
        text = f"Gradients were clipped to a norm of {record.max_grad_norm:.7g}; {norm:.7g} is declared."
        yield _high("clipping_norm", "set", f"{record.max_grad_norm:.7g}", text)
    if record.generator_seed is not None:
        text = "Noise came from a generator with a known seed; whoever knows it takes the noise off again."
        yield _high("record", "remove", "generator_seed", text)
    if not record.secure_mode:
        text = "Noise came from a generator that is not made for cryptography (secure_mode is off)."
        yield _medium("record", "set", "secure_mode", text)
    if record.clipping == "adaptive":
        yield _medium("clipping_norm", "set", "flat", "The clipping norm moves during training (adaptive clipping).")


def _of_accountant(record: DPRecord, declaration: DifferentialPrivacy) -> Iterator[ConfigurationFault]:
    if record.accountant == "gdp":
        text = "The accountant is Gaussian by the central limit, and its epsilon can be too low; the exact one is PRV."
        yield _medium("accountant", "set", "prv", text)
    if declaration.accountant is not None and declaration.accountant.casefold() != record.accountant.casefold():
        text = f"The accountant {declaration.accountant!r} is declared; the trainer used {record.accountant!r}."
        yield _medium("accountant", "set", record.accountant, text)


def _equal(value: float, declared: float) -> bool:
    return abs(value - declared) <= TOLERANCE * max(1.0, abs(declared))


def _high(
    key: str, direction: Literal["raise", "lower", "set", "add", "remove"], value: str | None, text: str
) -> ConfigurationFault:
    return ConfigurationFault(Severity.HIGH, f"{SECTION}.{key}", direction, value, text)


def _medium(
    key: str, direction: Literal["raise", "lower", "set", "add", "remove"], value: str | None, text: str
) -> ConfigurationFault:
    return ConfigurationFault(Severity.MEDIUM, f"{SECTION}.{key}", direction, value, text)
