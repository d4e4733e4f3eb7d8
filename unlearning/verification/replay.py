"""V11: the recorded unlearning, run again by the auditor; does it give the delivered bytes?

A record can be forged, and so can one that replays (Zhang et al., ICML 2024, arXiv:2408.00929): of an approximate
method this shows what was done, not that it forgets. An exact method is run from recipe, seed and retained data alone,
so that equal bytes leave no room for what was to be forgotten, if the retained data is free of it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal

import torch

from unlearning.errors import UnlearningError
from unlearning.federated.data import FederatedData
from unlearning.federated.delivered import Delivered
from unlearning.federated.engine import Sequential
from unlearning.federated.erasure import on_one_thread
from unlearning.federated.methods.base import Method, RoundNote, Setting
from unlearning.federated.plan import needs_of
from unlearning.federated.privacy import Tensors
from unlearning.federated.recorder import tensor_bytes
from unlearning.federated.request import Split
from unlearning.federated.rounds import Models, one_of, stacked
from unlearning.federated.transcript import Header
from unlearning.verification.overlap import Overlap, overlap

__all__ = ["Replay", "replay"]

Answer = Literal["equal", "differs", "not-run"]


@dataclass(frozen=True)
class Replay:
    """What came of running an unlearning again."""

    answer: Answer
    """Whether it gave the delivered bytes."""
    reason: str = ""
    """Why it was not run, or what may excuse the difference; a machine's word."""
    told: str = ""
    """The same in a sentence."""
    from_retained_alone: bool = False
    """Whether it was given recipe, seed and retained data, and nothing else."""
    max_difference: float | None = None
    """Largest difference of two weights; None where it was not run."""
    first_differing: int | None = None
    """The first recorded round whose model is another one; None where all are the same."""
    sees_data: bool | None = None
    """Whether the same run on one retained example less gave other bytes; None where the bytes differ anyway."""
    overlap: Overlap | None = None
    """How much of what was to be forgotten stands among what was retained."""
    owner_code: bool = False
    """Whether the owner's code made the initial weights."""
    contradicted: bool = False
    """Whether record and files disagree on what was to be forgotten, or on the files."""

    @property
    def proves_exactness(self) -> bool:
        """Whether the delivered model is shown to come from retained data alone, free of what was to be forgotten."""
        free = self.overlap is not None and self.overlap.free
        own = self.from_retained_alone and not self.owner_code and not self.contradicted
        return self.answer == "equal" and own and free and bool(self.sees_data)


def replay(delivered: Delivered) -> Replay:
    """Run a recorded unlearning again, on the sequential engine and one thread, and compare."""
    lacking = _lacking(delivered)
    header, method, split = delivered.header, delivered.method, delivered.split
    if lacking or header is None or method is None or split is None:
        reason, told = lacking or ("missing:unlearning.transcript", "There is no transcript to run again.")
        return Replay("not-run", reason, told)
    models: dict[int, str] = {}

    def watch(note: RoundNote) -> None:
        models[note.index] = _digest(one_of(note.after.tensors, 0))

    try:
        made = _run(delivered, header, method, split, watch)
        equal = _digest(made) == delivered.after_sha256
        sees_data = None
        if equal:  # the control: what does not depend on the data would be equal whatever was forgotten
            sees_data = _digest(_run(delivered, header, method, _one_less(split))) != delivered.after_sha256
    except UnlearningError as error:  # it lacks something, or diverges
        return Replay("not-run", error.code, error.message)
    found = Replay(
        "equal" if equal else "differs",
        from_retained_alone=method.exact,
        max_difference=_max_difference(made, delivered.after),
        first_differing=_first_differing(delivered, models),
        sees_data=sees_data,
        overlap=overlap(split.forgotten, split.retained),
        owner_code=delivered.owner_code,
        contradicted=any(fault.code in ("request", "data") for fault in delivered.faults),
    )
    return found if equal else _excused(found, header)


def _lacking(delivered: Delivered) -> tuple[str, str] | None:
    """Return what keeps the unlearning from being run again, as reason and sentence; None where nothing does."""
    header, method = delivered.header, delivered.method
    if header is None:
        return "missing:unlearning.transcript", "The transcript has no header that says what was run."
    if delivered.after is None:
        return "missing:unlearning.after", "The delivered model is not declared, so there is nothing to compare with."
    if delivered.lacking:
        return f"missing:{delivered.lacking[0]}", f"It cannot be run again without {', '.join(delivered.lacking)}."
    if method is None:
        return "unknown-method", f"The method {header.method[:60]!r}, with its parameters, is not one of those here."
    needs = needs_of(method)
    if needs.stored_globals or needs.stored_updates:
        told = f"{method.name} reads the recording of the training, which is not among the delivered files."
        return "missing:recording", told
    if needs.base and delivered.before is None:
        return "missing:unlearning.before", f"{method.name} starts from the model before, which is not declared."
    for key, said, held in (
        ("unlearning.twin", header.data.twin, delivered.twin),
        ("data.calibration", header.data.holdout, delivered.holdout),
    ):
        if not method.exact and said is not None and held is None:
            return (
                f"missing:{key}",
                f"It ran with {said.path}, which is not there as the transcript names it.",
            )
    return None


def _run(
    delivered: Delivered, header: Header, method: Method, split: Split, watch: Callable[[RoundNote], None] | None = None
) -> Tensors:
    """Return the state dict that the method makes, of an exact one from retained data alone.

    Raises:
        UnlearningError: The method needs something that is not there, or does not train.
    """
    federation = delivered.federation
    if federation is None:
        raise ValueError("there is no federation to run it on")
    offline, before, named = frozenset(header.offline), Models({}), header.data
    if method.exact:
        nothing = split.retain[0].take(())
        federation = replace(federation, data=FederatedData(split.retain, nothing))
        split = Split({}, split.retain, {})
        setting = Setting(Sequential(federation, (header.seed,)), split, before, offline=offline, watch=watch)
    else:
        if delivered.before is not None:
            before = Models(stacked([delivered.before]), federation.recipe.rounds)
        setting = Setting(
            Sequential(federation, (header.seed,)), split, before, offline=offline, watch=watch,
            twin=None if named.twin is None else delivered.twin,  # as it ran: with what the record names
            unlabelled=None if named.holdout is None else delivered.holdout,
        )  # fmt: skip
    return one_of(on_one_thread(method, setting).models.tensors, 0)


def _one_less(split: Split) -> Split:
    """Return the split with one retained example less, of the client that retains most."""
    largest = max(range(len(split.retain)), key=lambda client: len(split.retain[client]))
    retain = list(split.retain)
    retain[largest] = retain[largest].take(range(len(retain[largest]) - 1))
    return replace(split, retain=tuple(retain))


def _digest(state: Tensors) -> str:
    """Return the SHA-256 of a state dict's file."""
    return sha256(tensor_bytes(state)).hexdigest()


def _max_difference(made: Tensors, delivered: Tensors | None) -> float | None:
    """Return the largest difference of two weights; None where it is not finite, or there is nothing to compare."""
    if delivered is None or made.keys() != delivered.keys():
        return None
    gaps = [float((made[name].double() - one.double()).abs().max()) for name, one in delivered.items() if one.numel()]
    largest = max(gaps, default=0.0)
    return largest if math.isfinite(largest) else None


def _first_differing(delivered: Delivered, models: Mapping[int, str]) -> int | None:
    """Return the index of the first recorded round whose model the new run did not give."""
    return next((line.index for line in delivered.rounds if models.get(line.index) != line.model), None)


def _excused(found: Replay, header: Header) -> Replay:
    """Return a difference with what else than a false record may explain it."""
    said = header.versions
    if found.max_difference == 0:
        return replace(found, reason="other-file-form", told="The weights are the same; the file says more than them.")
    if said.torch != str(torch.__version__):
        told = f"It ran under torch {said.torch}, this is {torch.__version__}."
        return replace(found, reason="other-version", told=told)
    if said.device != "cpu":
        return replace(found, reason="other-device", told=f"It ran on {said.device}, this is a processor.")
    if said.threads != 1:
        return replace(found, reason="other-threads", told=f"It ran on {said.threads} threads, this is one.")
    return found
