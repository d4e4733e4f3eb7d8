"""`integrity.accuracy`: whether the model is as accurate as declared, and better than always the same answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from audit.load import Truth, input_scale, read_records
from audit.twin import Scale
from reports.check import Context, check
from reports.errors import SystemFileError
from reports.model import (
    Finding,
    Interval,
    Measurement,
    Remedy,
    Severity,
    Status,
    Strength,
    System,
    Threshold,
)
from reports.statistics import clopper_pearson
from unlearning.models import load_model

IntArray = npt.NDArray[np.int64]
LEAST_RECORDS = 100
"""Fewer records can fail but never pass."""
AT_ONCE = 4096
"""Records in one forward pass."""


@dataclass(frozen=True)
class Accuracy:
    """How often a model is right, and what it is held against."""

    right: int
    """Right answers."""
    records: int
    """Records that were asked about, at least one."""
    commonest: float
    """Share of the commonest label, which the same answer to everything gets right."""
    permuted: int
    """Right answers when the labels are permuted."""

    @property
    def value(self) -> float:
        """Share of right answers."""
        return self.right / self.records

    @property
    def interval(self) -> Interval:
        """Clopper-Pearson interval of the share, 95 %."""
        return clopper_pearson(self.right, self.records)

    @property
    def control(self) -> Interval:
        """The same with permuted labels."""
        return clopper_pearson(self.permuted, self.records)


def measured(answers: IntArray, labels: IntArray, rng: np.random.Generator) -> Accuracy:
    """Return the accuracy of `answers`, shape (n,) with n at least 1, against `labels`, shape (n,).

    Args:
        answers: What the model says; -1 where it says nothing.
        labels: What is right.
        rng: Permutes the labels.
    """
    commonest = np.unique(labels, return_counts=True)[1].max() / len(labels)
    permuted = int((answers == rng.permutation(labels)).sum())
    return Accuracy(int((answers == labels).sum()), len(labels), float(commonest), permuted)


def decided(found: Accuracy, claim: float | None) -> tuple[Status, str]:
    """Return status and reason: a claim above the interval, or an interval that the commonest label reaches, fails."""
    if found.interval.high <= found.commonest or (claim is not None and found.interval.high < claim):
        return Status.FAIL, ""
    if found.control.low > found.commonest:
        return Status.INCONCLUSIVE, "control-failed"
    if found.records < LEAST_RECORDS:
        return Status.INCONCLUSIVE, "too-few-records"
    if found.interval.low > found.commonest and (claim is None or found.value >= claim):
        return Status.PASS, ""
    return Status.INCONCLUSIVE, "undecided"


@check(
    "integrity.accuracy",
    "The model is as accurate as declared and better than the commonest answer",
    needs=("model.layers|model.definition", "data.nonmembers|data.calibration"),
    controls=("EU-AIA:15(1)", "EU-AIA:15(3)", "EU-AIA:13(3)(b)(ii)"),
    kinds=("accuracy",),
    strength=Strength.STATISTICAL,
    severity=Severity.MEDIUM,
)
def accuracy(system: System, ctx: Context) -> Iterator[Finding]:
    """Count right answers on records that the model was not trained on: `nonmembers`, else `calibration`.

    Fails when the interval lies below the claimed accuracy or does not exceed the share of the commonest label; passes
    when the value reaches the claim and the interval exceeds that share. Inconclusive else, with fewer than 100
    records, and when permuted labels fare better than the commonest one (`control-failed`).
    """
    role, records = _records(system, ctx)
    if records is None or system.model is None or system.model.task == "regression":
        summary = "There are no labelled records of a classifier in an npz file."
        yield ctx.finding(Status.SKIPPED, summary, severity=Severity.INFO, reason="not-applicable:no-labels")
        return
    model = load_model(system.model, ctx.folder, trust_code=ctx.options.trust_code)
    given = answers_of(model, Scale(*input_scale(system)).normalised(records.x))
    found = measured(given, records.y.numpy(), ctx.rng("permutation"))
    claim = system.claims.accuracy if system.claims else None
    status, reason = decided(found, claim)
    limitations = [f"Whether the records of role {role} resemble those that the model will meet was not asked."]
    if silent := int((given < 0).sum()):
        limitations.append(f"{silent} records have outputs that are no numbers, and count as wrong.")
    yield ctx.finding(
        status,
        _summary(found, claim, status, reason),
        measurements=_measurements(found, claim, role),
        remedy=_remedy(found, claim, status, reason, role),
        limitations=limitations,
        reason=reason,
    )


def answers_of(model: nn.Module, x: Tensor) -> IntArray:
    """Return the label that the model gives each record, shape (n,); -1 where an output is no number.

    Args:
        model: In evaluation mode; gives logits (n, classes), or one logit that is above zero for label 1.
        x: Records as the model takes them, shape (n, *input_shape).
    """
    found = []
    with torch.no_grad():
        for start in range(0, len(x), AT_ONCE):
            output = model(x[start : start + AT_ONCE])
            logits = output.reshape(len(output), -1)
            label = (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(dim=1)
            found.append(torch.where(torch.isnan(logits).any(dim=1), -1, label))
    return np.asarray(torch.cat(found).numpy())


def _records(system: System, ctx: Context) -> tuple[Literal["nonmembers", "calibration"], Truth | None]:
    """Return the records to ask about and their role: non-members where there are any."""
    roles: tuple[Literal["nonmembers", "calibration"], ...] = ("nonmembers", "calibration")
    for role in roles:
        parts = [
            read_records(system, entry.path, ctx.folder, f"data[{index}]")
            for index, entry in enumerate(system.data)
            if entry.role == role and entry.path.path.lower().endswith(".npz")
        ]
        if parts:
            x = torch.cat([part.x for part in parts])
            if not torch.isfinite(x).all():
                told = f"system.toml: data: a record of role {role} holds NaN or infinity"
                raise SystemFileError("system.records", told, "Leave it out.")
            return role, Truth(x, torch.cat([part.y for part in parts]))
    return "calibration", None


def _measurements(found: Accuracy, claim: float | None, role: str) -> list[Measurement]:
    method = f"share of right answers on the records of role {role}; Clopper-Pearson interval, 95 %"
    limit = found.commonest if claim is None else max(claim, found.commonest)
    control = found.permuted / found.records
    return [
        Measurement(
            name="accuracy", value=found.value, interval=found.interval, n=found.records, method=method,
            threshold=Threshold(op=">=", limit=limit), control=control,
        ),
        Measurement(
            name="commonest_label", value=found.commonest, n=found.records,
            method="share of the commonest label, which one answer to everything gets right",
        ),
        Measurement(
            name="permuted_accuracy", value=control, interval=found.control, n=found.records,
            method="the same with permuted labels; Clopper-Pearson interval, 95 %",
        ),
    ]  # fmt: skip


def _summary(found: Accuracy, claim: float | None, status: Status, reason: str) -> str:
    interval = found.interval
    told = f"{found.value:.1%} of {found.records} answers are right [{interval.low:.1%}, {interval.high:.1%}]"
    constant = f"the commonest label alone gets {found.commonest:.1%}"
    claimed = "" if claim is None else f"; {claim:.1%} is claimed"
    match status, reason:
        case Status.FAIL, _:
            worse = found.interval.high <= found.commonest
            return f"{told}{claimed}; {constant}." if worse or claim is None else f"{told}, and {claim:.1%} is claimed."
        case _, "control-failed":
            return f"With permuted labels {found.permuted} of {found.records} answers are right, more than by chance."
        case _, "too-few-records":
            return f"{told}; with fewer than {LEAST_RECORDS} records it can fail, but never pass."
    return f"{told}{claimed}; {constant}."


def _remedy(found: Accuracy, claim: float | None, status: Status, reason: str, role: str) -> Remedy | None:
    if status is Status.FAIL and claim is not None and found.interval.high < claim:
        return Remedy(
            parameter="claims.accuracy", direction="lower", value=f"{found.interval.low:.3g}",
            text="Claim what was measured, or train a better model.",
        )  # fmt: skip
    if status is Status.FAIL:
        return Remedy(
            parameter="model.checkpoint", direction="set",
            text="Train a model that is better than one answer to everything, or check [model].normalisation.",
        )  # fmt: skip
    if status is Status.INCONCLUSIVE and reason != "control-failed":
        wanted = max(LEAST_RECORDS, 4 * found.records)
        return Remedy(
            parameter="data", direction="add", value=str(wanted), text=f"Give at least {wanted} records of role {role}."
        )
    return None
