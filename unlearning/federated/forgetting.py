"""Forget and verify in two calls, with nothing but Python: what the command line does with folders.

unlearned = unlearn(federation, UnlearningRequest.client(4), "rapid-retrain")
report = verify(federation, unlearned, seed=11)
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from reports.executor import Executor
from reports.model import Effort, ErasureRequest
from unlearning.federated.data import SimulatedFederation
from unlearning.federated.delivered import Delivered
from unlearning.federated.erasure import Erasure, Outcome, carry_out, train_first
from unlearning.federated.methods import method as method_of
from unlearning.federated.request import UnlearningRequest, split
from unlearning.federated.transcript import Transcript, read_transcript
from unlearning.verification.replay import replay
from unlearning.verification.suite import VerificationReport
from unlearning.verification.suite import verify as verify_delivered

__all__ = ["Unlearned", "unlearn", "verify"]


@dataclass(frozen=True, eq=False)
class Unlearned:
    """A request that was honoured, and the record of it."""

    erasure: Erasure
    """What was asked, of whom."""
    outcome: Outcome
    """Models before and after, what it cost, how it went."""
    transcript: Transcript
    """What was done, line by line."""


def unlearn(
    federation: SimulatedFederation, request: UnlearningRequest | str, method: str = "ffum", seed: int = 0,
    **parameters: object,
) -> Unlearned:  # fmt: skip
    """Train a federation by its recipe, then make its model forget.

    Args:
        federation: Data, recipe and model.
        request: What is to be forgotten; `client:4` for client 4.
        method: By name, one of `METHODS`.
        seed: Of all that the method draws.
        **parameters: Of the method.

    Raises:
        TrainingDiverged: A loss is not finite.
        UnlearningError: There is no such method or parameter, the request names what is not there or would leave
            nothing, or the method lacks something.
    """
    how = method_of(method, **parameters)
    asked = UnlearningRequest.parse(request) if isinstance(request, str) else request
    split(federation.data, asked)  # what is wrong with a request is told before anything is trained
    before, history = train_first(federation)
    erasure = Erasure(federation, asked, how, before, seed, history)
    with tempfile.TemporaryDirectory() as folder:
        outcome = carry_out(erasure, Path(folder))
        return Unlearned(erasure, outcome, read_transcript(Path(folder) / "transcript.jsonl"))


def verify(
    federation: SimulatedFederation,
    result: Unlearned,
    *,
    effort: Effort = Effort.STANDARD,
    models: int | None = None,
    seed: int = 0,
    executor: Executor | None = None,
) -> VerificationReport:
    """Return the verification of a model that was made to forget; each test is computed when it is asked for.

    Args:
        federation: Data, recipe and model, as whoever verifies has them.
        result: What `unlearn` gave.
        effort: How many models are trained.
        models: References to train; None for what the effort says.
        seed: Decides which models are trained.
        executor: Runs the trials; one after another where None.

    Raises:
        UnlearningError: The model gives no finite answers, or the recipe does not train.
    """
    erasure, outcome, record = result.erasure, result.outcome, result.transcript
    parts, data = split(federation.data, erasure.request), federation.data
    close = record.close
    delivered = Delivered(
        ErasureRequest(id="request", kind=erasure.request.kind, method=erasure.method.name),
        record.header, record.rounds, close, federation=federation, split=parts, forget=parts.forgotten,
        retain=parts.retained, twin=erasure.twin(), test=data.test, holdout=data.holdout, probes=data.probes,
        module=federation.build_model(torch.Generator()).eval(), before=outcome.before, after=outcome.after,
        before_sha256=outcome.before_sha256, after_sha256=outcome.after_sha256, method=erasure.method,
        kept=outcome.result.kept,
    )  # fmt: skip
    return verify_delivered(
        delivered, effort=effort, seed=seed, models=models, executor=executor,
        replayed=lambda: replay(delivered).proves_exactness,
    )  # fmt: skip
