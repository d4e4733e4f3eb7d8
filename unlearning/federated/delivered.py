"""What was delivered for an erasure request: the declared files and the record of it, joined as far as they can be.

    [[unlearning]]  before, after, forget, retain, twin, oracles ─┐
    transcript      request, method, recipe, test, holdout, …    ─┼─▶ Delivered ─▶ checks, verification
    [model], [[data]]                                            ─┘

A file that system.toml declares and that cannot be used is an error, which names file, key and mend. What the
transcript says wrongly is a fault of the transcript: it is kept, and whatever else was delivered can still be measured.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from reports.artifacts import read_tensors
from reports.digests import artifact_sha256
from reports.model import Artifact, ErasureRequest, System
from unlearning.federated.data import ClientData, SimulatedFederation
from unlearning.federated.delivered_record import Record, read_record
from unlearning.federated.delivered_sets import ExampleSets, read_sets
from unlearning.federated.methods import Method
from unlearning.federated.privacy import Tensors
from unlearning.federated.reassembly import Assembled, reassembled
from unlearning.federated.request import Split
from unlearning.federated.transcript import Close, Header, Round, TranscriptFault
from unlearning.models import builder, match_parameters

__all__ = ["Delivered", "load_delivered"]

MOST_GRADIENTS = 10**9
"""Gradients of single examples that one model may take: a record that asks for more would keep an auditor for ever."""


@dataclass(frozen=True, eq=False)
class Delivered:
    """One erasure request, and everything that was delivered for it and can be read."""

    declared: ErasureRequest
    """As system.toml has it."""
    header: Header | None = None
    """What the transcript says was asked; None without a transcript, or where that line cannot be read."""
    rounds: tuple[Round, ...] = ()
    """What it says was done."""
    close: Close | None = None
    """What it says was delivered; None where that line cannot be read."""
    faults: tuple[TranscriptFault, ...] = ()
    """What is wrong with it, by itself and against the files, by line."""
    federation: SimulatedFederation | None = None
    """Retained and forgotten data in their places, and the recipe; None where nobody says how it trains."""
    split: Split | None = None
    """What of its data was to be forgotten; with `federation`."""
    lacking: tuple[str, ...] = ()
    """What there is no federation for, as keys or files."""
    absent: tuple[str, ...] = ()
    """Files that the transcript names and that do not lie beside it."""
    forget: ClientData | None = None
    """What was to be forgotten."""
    retain: ClientData | None = None
    """What stayed."""
    twin: ClientData | None = None
    """Held-out examples like those to be forgotten."""
    test: ClientData | None = None
    """Judges utility."""
    holdout: ClientData | None = None
    """Never trained on."""
    probes: ClientData | None = None
    """Backdoor queries."""
    neighbours: ClientData | None = None
    """Retained examples that the owner names as nearest to those to be forgotten."""
    module: nn.Module | None = None
    """The architecture, in evaluation mode, with weights of no meaning; None where it is not declared, or is code that
    may not run."""
    owner_code: bool = False
    """Whether the architecture is the owner's code, whose initial weights nobody can vouch for."""
    before: Tensors | None = None
    """State dict of the model before."""
    after: Tensors | None = None
    """State dict of the delivered model."""
    before_sha256: str | None = None
    """Of its file."""
    after_sha256: str | None = None
    """Of its file."""
    method: Method | None = None
    """How, with its parameters; None where the name is not one of ours, or its parameters are not."""
    kept: int | None = None
    """Unlearning rounds behind the delivered model, for a method that chose them, as methods count them."""
    oracles: tuple[Tensors, ...] = ()
    """State dicts of models that the owner says never saw the forget set."""


def load_delivered(system: System, declared: ErasureRequest, folder: Path, *, trust_code: bool = False) -> Delivered:
    """Return what was delivered for one erasure request.

    Args:
        system: The system under review; its model and data are used.
        declared: One of its requests, or one with other files in its place.
        folder: The folder that the paths are relative to.
        trust_code: Whether `[model].definition` may run.

    Raises:
        FederationFileError: A declared file of examples cannot be used, or is not of the model's kind.
        unlearning.errors.ModelError: The model cannot be built, its code is not trusted, or tensors do not fit it.
        reports.errors.FileError: A declared file of tensors is refused or broken.
    """
    models = {"before": declared.before, "after": declared.after}
    digests = {key: artifact_sha256(folder / one.path) for key, one in models.items() if one is not None}
    record = read_record(declared, folder, digests)
    method, record = record.known_method()
    untrained = _untrained(system, folder, trust_code)
    module = None if untrained is None else untrained().eval()
    states = {key: _state(folder, one, module) for key, one in models.items() if one is not None}
    if record.lines and len(states) == 2 and _same(*states.values()) and not record.found("unchanged"):
        told = "the delivered model has the very weights of the one before"
        record = record.with_fault("unchanged", told, line=record.lines)
    files, record = read_sets(system, declared, folder, record, module)
    assembled, lacking = None, _lacking(record, files, untrained)
    if not lacking:
        assembled = _assembled(record, files, untrained)
        if assembled.contradiction:
            record = record.with_fault("request", assembled.contradiction)
    return Delivered(
        declared, record.header, record.rounds, record.close, record.sorted_faults,
        None if assembled is None else assembled.federation, None if assembled is None else assembled.split, lacking,
        files.absent, **files.sets(), module=module,
        owner_code=system.model is not None and system.model.layers is None,
        before=states.get("before"), after=states.get("after"),
        before_sha256=digests.get("before"), after_sha256=digests.get("after"), method=method, kept=record.kept,
        oracles=tuple(_state(folder, one, module) for one in declared.oracles),
    )  # fmt: skip


def _untrained(system: System, folder: Path, trust_code: bool) -> Callable[[], nn.Module] | None:
    """Return what builds the declared architecture; None where none is declared, or only code that may not run."""
    model = system.model
    if model is None or (model.layers is None and (model.definition is None or not trust_code)):
        return None
    return builder(model, folder, trust_code=trust_code)


def _state(folder: Path, file: Artifact, module: nn.Module | None) -> Tensors:
    """Return the state dict in a file: of the architecture, where that is known."""
    tensors = read_tensors(folder / file.path)
    return tensors if module is None else match_parameters(module, tensors, buffers=True, source=file.path)


def _same(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def _lacking(record: Record, files: ExampleSets, untrained: Callable[[], nn.Module] | None) -> tuple[str, ...]:
    """Return what there is no federation for."""
    needed = {
        "unlearning.transcript": record.header, "model.layers": untrained,
        "unlearning.forget": files.forget, "unlearning.retain": files.retain,
    }  # fmt: skip
    found = [key for key, value in needed.items() if value is None]
    if record.header is not None and files.forget is not None and files.retain is not None:
        recipe, examples = record.header.recipe, len(files.forget.y) + len(files.retain.y)
        if recipe.rounds * recipe.local_epochs * examples > MOST_GRADIENTS:
            found.append("unlearning.transcript:recipe")
    for key, file in (("unlearning.forget", files.forget), ("unlearning.retain", files.retain)):
        if file is not None and file.client is None:
            found.append(f"{key}:client")
    return tuple(found)


def _assembled(record: Record, files: ExampleSets, untrained: Callable[[], nn.Module] | None) -> Assembled:
    header, request = record.header, record.request
    if header is None or request is None or untrained is None or files.forget is None or files.retain is None:
        raise ValueError("there is no federation without transcript, model, forget and retain set")
    return reassembled(files.forget, files.retain, request, header.recipe, untrained, files.others)
