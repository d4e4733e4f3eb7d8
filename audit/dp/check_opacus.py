"""The check `dp.opacus-configuration`: whether the DP trainer is configured as claimed."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from audit.dp.comparison import SECTION
from audit.dp.opacus import ConfigurationFault, configuration_faults, undeclared
from audit.dp.record import DPRecord, read_record
from reports.artifacts import BrokenFile
from reports.canonical import strict_json
from reports.check import Context, check
from reports.errors import ReportError
from reports.formats import broken, opened
from reports.model import (
    Basis,
    DifferentialPrivacy,
    Finding,
    Measurement,
    Model,
    Remedy,
    Severity,
    Status,
    Strength,
    System,
    Threshold,
)

MAX_LAYERS = 16 << 20
"""Bytes of a layer list."""


@check(
    "dp.opacus-configuration",
    "The DP trainer is configured as claimed",
    needs=(f"{SECTION}.record",),
    controls=("EU-AIA:9(2)(d)", "EU-AIA:annex-IV(2)(g)"),
    kinds=("dp",),
    strength=Strength.EXACT,
    severity=Severity.HIGH,
)
def configuration(system: System, ctx: Context) -> Iterator[Finding]:
    """Compare the trainer's record with the declaration, and with what its accountant assumes.

    Fails on any grave fault: other noise, rate, steps or norm than declared, batches not drawn by coins, BatchNorm, a
    seeded generator, gradients divided by another batch. Passes without one, where all four parameters are declared and
    the same comparison finds three planted faults; lesser faults are limitations then. Inconclusive else.
    """
    federation = system.federation
    if federation is None or federation.differential_privacy is None or federation.differential_privacy.record is None:
        return  # the need says that it is there
    declared = federation.differential_privacy
    record = read_record(ctx.folder / federation.differential_privacy.record.path)
    layers = _layers(system.model, ctx.folder)
    faults = configuration_faults(record, declared, layers)
    grave = [fault for fault in faults if fault.severity.at_least(Severity.HIGH)]
    lesser = [fault for fault in faults if fault not in grave]
    status, reason, summary = _decided(grave, _control(record, declared, layers), undeclared(declared), record)
    yield ctx.finding(
        status,
        summary[:300],
        basis=Basis.RECORDED,
        detail="\n".join(f"{fault.severity}: {fault.parameter}: {fault.text}" for fault in faults),
        measurements=_measurements(grave, lesser),
        remedy=_remedy(grave or lesser, reason),
        limitations=_limitations(record, lesser, layers),
        reason=reason,
    )


def _decided(
    grave: Sequence[ConfigurationFault], control: bool, lacking: Sequence[str], record: DPRecord
) -> tuple[Status, str, str]:
    """Return status, reason and summary."""
    if grave:
        more = f" ({len(grave)} grave faults)" if len(grave) > 1 else ""
        return Status.FAIL, "", f"{grave[0].text.removesuffix('.')}{more}."
    if lacking:
        summary = f"The record has no grave fault, but {lacking[0]} is not declared, so it is compared with nothing."
        return Status.INCONCLUSIVE, f"missing:{SECTION}.{lacking[0]}", summary
    if not control:
        return Status.INCONCLUSIVE, "control-failed", "A planted fault went unnoticed, so nothing is shown."
    steps = sum(entry[2] for entry in record.history)
    return Status.PASS, "", f"Noise, sampling, {steps} steps and clipping are recorded as they are declared."


def _control(record: DPRecord, declared: DifferentialPrivacy, layers: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether each of three planted faults is found: half of the noise, a seed, and BatchNorm."""
    halved = tuple((noise / 2, rate, steps) for noise, rate, steps in record.history)
    planted: tuple[dict[str, object], ...] = (
        {"history": halved},
        {"generator_seed": 0},
        {"modules": (*record.modules, "BatchNorm2d")},
    )
    return all(
        any(
            fault.severity.at_least(Severity.HIGH)
            for fault in configuration_faults(record.model_copy(update=change), declared, layers)
        )
        for change in planted
    )


def _measurements(
    grave: Sequence[ConfigurationFault], lesser: Sequence[ConfigurationFault]
) -> tuple[Measurement, Measurement]:
    method = "the trainer's record compared with the declaration and with the accountant's assumptions"
    none = Threshold(op="<=", limit=0.0)
    return (
        Measurement(name="configuration_faults", value=float(len(grave)), method=method, threshold=none),
        Measurement(name="configuration_warnings", value=float(len(lesser)), method=method),
    )


def _remedy(faults: Sequence[ConfigurationFault], reason: str) -> Remedy | None:
    if reason.startswith("missing:"):
        parameter = reason.removeprefix("missing:")
        return Remedy(parameter=parameter, direction="add", text=f"Declare {parameter}.")
    if not faults:
        return None
    first = faults[0]
    return Remedy(parameter=first.parameter, direction=first.direction, value=first.value, text=first.text)


def _limitations(
    record: DPRecord, lesser: Sequence[ConfigurationFault], layers: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    said = ["The record is the trainer's own word; whether it ran so is what dp.mechanism and dp.lower-bound measure."]
    said.append("Neither another seed of the machine's global generator nor a reused data loader shows in it.")
    if not (record.modules or layers):
        said.append("Neither the record nor the system file names the model's layers, so BatchNorm was not looked for.")
    return (*said, *(fault.text for fault in lesser))


def _layers(model: Model | None, folder: Path) -> Sequence[Mapping[str, Any]]:
    """Return the entries of the layer list, where one is declared.

    Raises:
        BrokenFile: it is no JSON list of objects.
    """
    if model is None or model.layers is None:
        return ()
    path = folder / model.layers.path
    with opened(path) as file:
        content = file.read(MAX_LAYERS)
    try:
        entries = strict_json(content)
    except ReportError as error:
        raise _unfit(path, error.message) from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _unfit(path, "it is no list of layers")
    return entries


def _unfit(path: Path, problem: str) -> BrokenFile:
    return broken(path, problem, 'Write a list such as [{"type": "Linear", …}, …].')
