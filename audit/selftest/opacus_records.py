"""Records of private training that Opacus really did, on handwritten digits, with one setting other than declared.

The record is read off the objects that trained (`audit.dp.record.from_opacus`), as the owner of a system would.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from audit.dp.accounting import recompute
from audit.dp.record import from_opacus
from audit.selftest.workshop import Workshop
from reports.model import DifferentialPrivacy, System
from unlearning.federated.data import ClientData

EXAMPLES, BATCH, EPOCHS, HIDDEN = 240, 24, 2, 16
STEPS = EPOCHS * EXAMPLES // BATCH
DECLARED = DifferentialPrivacy(
    unit="example", clipping_norm=1.0, noise_multiplier=1.1, sampling="poisson", sampling_rate=BATCH / EXAMPLES,
    steps=STEPS, delta=1e-3, accountant="prv",
)  # fmt: skip


@dataclass(frozen=True)
class Training:
    """How Opacus trains; as declared by default."""

    epochs: int = EPOCHS
    """Passes, of ten steps each."""
    batch_size: int = BATCH
    """Examples that a step expects."""
    batch_norm: bool = False
    """Whether the model normalises over the batch; else over groups of each example's own units."""
    engine: dict[str, object] = field(default_factory=dict)
    """Arguments of `PrivacyEngine.make_private` that replace those which follow from `DECLARED`."""


AS_DECLARED = Training()


def opacus_record(make: Workshop, training: Training = AS_DECLARED) -> System:
    """Train a small model privately, write the trainer's record, and declare `DECLARED` with its epsilon.

    Needs Opacus, which the project depends on for its accountants.
    """
    found = make.digits(EXAMPLES, 1, 0).clients[0]
    with _own_stream(make.seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that secure mode is off, that an accountant is loose: what is recorded
        record = from_opacus(*_trained(found, training))
    make.files.text("dp-record.json", record.to_bytes().decode())
    privacy = DECLARED.model_dump(exclude_none=True)
    privacy |= {"epsilon": recompute(DECLARED).claimable, "record": "dp-record.json"}
    federation = {"server_trust": "trusted", "differential_privacy": privacy}
    return make.finish({"system": {"name": "digits-by-opacus", "version": "1"}, "federation": federation})


def _trained(found: ClientData, training: Training) -> tuple[Any, Any, Any, Any]:
    """Return engine, optimizer, loader and model after training."""
    from opacus import PrivacyEngine

    engine: Any = PrivacyEngine(accountant="prv")
    if training.batch_norm:
        engine.validate = lambda **_: None  # what a hurried owner does to be rid of the error
    model = _model(batch_norm=training.batch_norm)
    settings = {"noise_multiplier": DECLARED.noise_multiplier, "max_grad_norm": DECLARED.clipping_norm}
    private, optimizer, batches = engine.make_private(
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.5),
        data_loader=DataLoader(TensorDataset(found.x, found.y), batch_size=training.batch_size),
        **{**settings, **training.engine},
    )
    for _ in range(training.epochs):
        for x, y in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(private(x), y).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return engine, optimizer, batches, private


def _model(*, batch_norm: bool) -> nn.Sequential:
    """Return a perceptron whose hidden units are normalised, by layers without weights or counters of their own."""
    norm = nn.BatchNorm1d(HIDDEN, affine=False, track_running_stats=False)
    middle = norm if batch_norm else nn.GroupNorm(2, HIDDEN, affine=False)
    return nn.Sequential(nn.Linear(64, HIDDEN), middle, nn.ReLU(), nn.Linear(HIDDEN, 10))


@contextmanager
def _own_stream(seed: int) -> Iterator[None]:
    """Give Opacus, which draws batches and noise from torch's global stream, one of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
