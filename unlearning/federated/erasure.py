"""An erasure request, carried out: data, models and transcript of it written into one folder.

    federation ─▶ trained (or read from its recording) ─▶ method ─▶ before, after, transcript, forget, retain, twin, …

The delivered model is made by the sequential engine on one thread, so that whoever has the folder can make it again.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unlearning.errors import UnlearningError
from unlearning.federated.data import ClientData, SimulatedFederation
from unlearning.federated.engine import Sequential
from unlearning.federated.methods.base import History, Method, RoundNote, Setting, UnlearningResult, mean_loss
from unlearning.federated.plan import retraining_work
from unlearning.federated.privacy import Tensors
from unlearning.federated.recorder import tensor_bytes
from unlearning.federated.request import Split, UnlearningRequest, split
from unlearning.federated.rounds import Models, one_of, stacked
from unlearning.federated.training import RoundRecord, train
from unlearning.federated.transcript import (
    Close,
    DataFile,
    DataFiles,
    Header,
    PrivacyClaim,
    Round,
    RoundCounts,
    TotalWork,
    TranscriptWriter,
    Versions,
)
from unlearning.federated.twins import twin_set

__all__ = ["Erasure", "Outcome", "carry_out", "prepared", "run_method", "train_first"]


@dataclass(frozen=True, eq=False)
class Erasure:
    """A request, and all that it is carried out with."""

    federation: SimulatedFederation
    """Data, recipe and model."""
    request: UnlearningRequest
    """What is to be forgotten."""
    method: Method
    """How."""
    before: Tensors
    """The model before: a state dict."""
    seed: int = 0
    """Of all that the method draws."""
    history: History = field(default_factory=History)
    """What was recorded of the training."""
    offline: frozenset[int] = frozenset()
    """Clients that do not answer."""

    @property
    def parts(self) -> Split:
        """What is to be forgotten, and what stays."""
        return split(self.federation.data, self.request)

    def twin(self) -> ClientData | None:
        """Return the owner's twin set, else held-out examples of the same labels, else None."""
        data = self.federation.data
        if data.twin is not None or data.holdout is None:
            return data.twin
        try:
            return twin_set(self.parts.forgotten, data.holdout, np.random.default_rng(self.seed))
        except UnlearningError:  # too few are held out: the method and its verification do without
            return None


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of it."""

    result: UnlearningResult
    """As the method tells it."""
    before: Tensors
    """The model before."""
    after: Tensors
    """The model after."""
    before_sha256: str
    """Of its file's bytes."""
    after_sha256: str
    """Of its file's bytes."""
    rounds: RoundCounts
    """By phase."""
    work: TotalWork
    """What it cost, and what retraining would have."""
    loss_forget: float
    """Mean cross-entropy of the model after on the forget set, in nats."""
    loss_twin: float | None
    """The same on the twin set; None without one."""

    @property
    def work_ratio(self) -> float | None:
        """How many times less work it was than retraining; None where it was none."""
        return (
            self.work.retrain_example_gradients / self.work.example_gradients if self.work.example_gradients else None
        )


def train_first(federation: SimulatedFederation) -> tuple[Tensors, History]:
    """Return the federation's model after its recipe, and all that any method can ask of its training."""
    globals_: dict[int, Mapping[str, Tensor]] = {}
    updates: dict[int, dict[int, Mapping[str, Tensor]]] = {}
    weights: dict[int, dict[int, Tensor]] = {}

    def recorder(record: RoundRecord) -> None:
        globals_.setdefault(record.round - 1, stacked([record.before]))
        globals_[record.round] = stacked([record.after])
        told = zip(record.participants, record.deltas, record.weights, strict=True)
        updates[record.round], weights[record.round] = {}, {}
        for client, delta, weight in told:
            updates[record.round][client] = stacked([delta])
            weights[record.round][client] = torch.tensor([weight], dtype=torch.float64)

    state = train(federation, recorder=recorder)
    return state.parameters, History(globals_, updates, weights)


def run_method(
    erasure: Erasure, watch: Callable[[RoundNote], None] | None = None, twin: ClientData | None = None
) -> tuple[UnlearningResult, Tensors]:
    """Return what the method made, on the sequential engine and one thread, and the state dict of it.

    Args:
        erasure: What is asked.
        watch: Told of every round.
        twin: For the rules that look at it.

    Raises:
        TrainingDiverged: A loss is not finite; names the round and the parameter to lower.
        UnlearningError: Something that the method needs is missing.
    """
    engine = Sequential(erasure.federation, (erasure.seed,))
    before = Models(stacked([erasure.before]), erasure.federation.recipe.rounds)
    setting = Setting(
        engine, erasure.parts, before, erasure.history, erasure.offline, twin, erasure.federation.data.holdout, watch
    )
    result = on_one_thread(erasure.method, setting)
    return result, one_of(result.models.tensors, 0)


def on_one_thread(method: Method, setting: Setting) -> UnlearningResult:
    """Return what a method made, with torch on one thread: the order of sums, and so the last bit, depends on it.

    Raises:
        TrainingDiverged, UnlearningError: As `run_method`.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return method.run(setting)
    finally:
        torch.set_num_threads(threads)


def carry_out(erasure: Erasure, folder: Path) -> Outcome:
    """Carry an erasure out, and write data, models and transcript into a folder.

    Writes `before.safetensors`, `after.safetensors`, `transcript.jsonl`, `forget.npz`, `retain.npz`, and what there is
    of `twin.npz`, `test.npz`, `holdout.npz`, `probes.npz`.

    Args:
        erasure: What is asked.
        folder: There, and empty.

    Raises:
        TrainingDiverged, UnlearningError: As `run_method`; the transcript breaks off where the method did.
    """
    twin = erasure.twin()
    header = prepared(erasure, folder)
    counted: Counter[str] = Counter()
    lines: list[Round] = []
    with TranscriptWriter(folder / "transcript.jsonl") as transcript:
        transcript.write(header)

        def watch(note: RoundNote) -> None:
            line = _line(note)
            transcript.write(line)
            counted[line.phase] += 1
            lines.append(line)

        result, after = run_method(erasure, watch, twin)
        data = tensor_bytes(after)
        (folder / "after.safetensors").write_bytes(data)
        work = _total(erasure, lines)
        rounds = RoundCounts(**counted)
        digest = sha256(data).hexdigest()
        transcript.write(Close(
            after=digest, kept=_kept_index(result, lines), rounds=rounds, work=work, progress=result.progress
        ))  # fmt: skip
    engine = Sequential(erasure.federation, (erasure.seed,))
    tensors = result.models.tensors
    return Outcome(
        result, erasure.before, after, header.before, digest, rounds, work,
        float(mean_loss(engine, tensors, erasure.parts.forgotten).mean()),
        None if twin is None else float(mean_loss(engine, tensors, twin).mean()),
    )  # fmt: skip


def prepared(erasure: Erasure, folder: Path) -> Header:
    """Write the model before and the data into a folder, and return the first line of a transcript beside them."""
    recipe = erasure.federation.recipe
    before = tensor_bytes(erasure.before)
    (folder / "before.safetensors").write_bytes(before)
    claim = None
    if (privacy := recipe.privacy) is not None:
        claim = PrivacyClaim(clipping_norm=privacy.clipping_norm, noise_multiplier=privacy.noise_multiplier)
    return Header(
        request=str(erasure.request),
        method=erasure.method.name,
        parameters=erasure.method.model_dump(mode="json"),
        recipe=recipe,
        seed=erasure.seed,
        before=sha256(before).hexdigest(),
        data=_write_data(folder, erasure, erasure.twin()),
        offline=tuple(sorted(erasure.offline)),
        versions=Versions(torch=str(torch.__version__), device="cpu", threads=1),
        differential_privacy=claim,
    )


def _line(note: RoundNote) -> Round:
    """Return what the transcript says of a round."""
    participants = note.outcome.participants(0)
    return Round(
        index=note.index,
        phase=note.kind,
        participants=participants,
        weights=tuple(float(note.outcome.weights[client][0]) for client in participants),
        model=sha256(tensor_bytes(one_of(note.after.tensors, 0))).hexdigest(),
        update_norm=float(note.outcome.update_norms[0]),
        loss=float(note.outcome.losses[0]),
        loss_forget=note.loss_forget,
        loss_twin=note.loss_twin,
        capped=float(note.outcome.capped[0]) if note.kind == "max" else None,
        work=note.work,
        teacher_forwards=note.teacher_forwards or None,
        noise_standard_deviation=note.outcome.noise or None,
    )


def _kept_index(result: UnlearningResult, lines: list[Round]) -> int | None:
    """Return the index of the round whose model was kept, for a method that chose one."""
    unlearning = [line.index for line in lines if line.phase == "min"]
    return unlearning[result.kept - 1] if result.kept and len(unlearning) >= result.kept else None


def _total(erasure: Erasure, lines: list[Round]) -> TotalWork:
    whole = retraining_work(erasure.federation, erasure.parts)
    return TotalWork(
        example_gradients=sum(line.work for line in lines),
        teacher_forwards=sum(line.teacher_forwards or 0 for line in lines),
        retrain_example_gradients=whole,
    )


def _write_data(folder: Path, erasure: Erasure, twin: ClientData | None) -> DataFiles:
    """Write the examples, and return what the header says of them."""
    data, parts = erasure.federation.data, erasure.parts
    written = {
        "forget": _write_owned(folder / "forget.npz", parts.forget),
        "retain": _write_owned(folder / "retain.npz", dict(enumerate(parts.retain))),
    }
    for name, examples in {"twin": twin, "test": data.test, "holdout": data.holdout, "probes": data.probes}.items():
        if examples is not None:
            path = folder / f"{name}.npz"
            np.savez(path, x=examples.x.numpy(), y=examples.y.numpy())
            written[name] = _file(path, len(examples))
    return DataFiles(**written)


def _write_owned(path: Path, shares: Mapping[int, ClientData]) -> DataFile:
    """Write examples with the client of each."""
    held = [shares[client] for client in sorted(shares)]
    owner = np.repeat(np.array(sorted(shares), dtype=np.int64), [len(one) for one in held])
    np.savez(path, x=torch.cat([o.x for o in held]).numpy(), y=torch.cat([o.y for o in held]).numpy(), client=owner)
    return _file(path, len(owner))


def _file(path: Path, examples: int) -> DataFile:
    return DataFile(path=path.name, sha256=sha256(path.read_bytes()).hexdigest(), examples=examples)
