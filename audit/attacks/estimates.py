"""Estimates of clients' records that a server keeps, scored as the reconstructions that they are.

A server that inverts stale updates to bring them up to date (arXiv:2309.13536) holds estimates of the data behind them.
Nothing is searched: each estimate is handed in as it is. The control is the truth under noise at 15 dB, which must be
told apart among the candidates; the null scores the estimates of other records of the same labels.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from audit.answer import Wording, answer, left_out, without_records
from audit.arms import EXACT
from audit.decision import Arms, Decision, verdict
from audit.exhibits import arm_measurements, arms_plot, npz_bytes
from audit.identify import identified
from audit.load import Truth, reference_records
from audit.load_arrays import PlantedArray, planted_arrays
from audit.scene import MOST_CANDIDATES
from reports.context import Context
from reports.model import Confidentiality, Finding, Remedy, System

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

CONTROL_DECIBELS = 15.0
"""Peak signal over noise of the control's estimates."""


def of_estimates(system: System, ctx: Context) -> Finding | None:
    """Return the finding on the estimates that a server keeps; None where none are declared."""
    if not any(update.kind == "estimate" for update in system.updates):
        return None
    arrays, excluded = planted_arrays(system, ctx.folder, "estimate")
    known = [array for array in arrays if array.truth is not None]
    if not known:
        return without_records(ctx, "No estimate that the server keeps can be used with its truth.", excluded)
    arms, guesses = _arms(known, reference_records(system, ctx.folder), ctx.rng("candidates"))
    decision = verdict(arms)
    title = "Records identified by the server's own estimates"
    arrays_kept = {"estimate": guesses.astype(np.float32), "identified": arms.system}
    kept = ctx.evidence("estimates", npz_bytes(arrays_kept), "application/x-npz", Confidentiality.RESTRICTED)
    return answer(
        ctx,
        system,
        arms,
        decision,
        Wording("planted records", "identified", "by the server's own estimates"),
        measurements=arm_measurements(arms, decision, "identifiability", "share of planted records whose own estimate "
                                      "is nearer to them than to anybody else"),
        evidence=[*arms_plot(ctx, arms, decision, title, "share of planted records identified"), kept],
        remedy=Remedy(
            parameter="updates", direction="lower", value="estimate",
            text="Keep no estimates of clients' records, or class means alone; drop stale updates or weigh them down.",
        ),
        limitations=[*left_out(excluded), "The estimates were scored as they stand; nothing was added to them."],
        detail=_detail(arms, decision),
        diagnosis="noise of 15 dB hides these records among the candidates",
    )  # fmt: skip


def _arms(arrays: Sequence[PlantedArray], reference: Truth | None, rng: np.random.Generator) -> tuple[Arms, Array]:
    """Return the three arms over the planted records, and of each record its own estimate."""
    truths = [array.truth for array in arrays if array.truth is not None]
    x = torch.cat([truth.x for truth in truths]).flatten(1).double().numpy()
    labels = torch.cat([truth.y for truth in truths]).numpy()
    guesses = np.concatenate([array.values.reshape(len(array.values), -1) for array in arrays])
    _, first, number = np.unique(x, axis=0, return_index=True, return_inverse=True)
    planted, owner = x[first], number.reshape(-1)  # a record that was planted twice is one candidate
    public = np.zeros((0, x.shape[1])) if reference is None else reference.x.flatten(1).double().numpy()
    if len(public) > (room := max(MOST_CANDIDATES - len(planted), 0)):
        public = public[np.sort(rng.permutation(len(public))[:room])]
    candidates = np.concatenate([planted, public])
    span = float(np.ptp(candidates))
    noised = planted + span * 10 ** (-CONTROL_DECIBELS / 20) * rng.standard_normal(planted.shape)
    n = len(planted)
    views = np.concatenate([np.full(len(array.values), i) for i, array in enumerate(arrays)])
    other = _deranged(labels, views, rng)
    exact = np.zeros(n, dtype=bool)
    exact[owner[np.abs(guesses - x).max(axis=1) <= EXACT * span]] = True
    exact_null = bool((np.abs(guesses[other] - x).max(axis=1) <= EXACT * span).any())
    arms = Arms(
        control=identified(noised, np.arange(n), candidates)[:n],
        system=identified(guesses, owner, candidates)[:n],
        null=identified(guesses[other], owner, candidates)[:n],
        chance=max(len(array.values) for array in arrays) / len(candidates),
        views=len(arrays),
        exact=exact,
        exact_null=exact_null,
    )
    return arms, guesses


def _deranged(labels: npt.NDArray[np.generic], views: IntArray, rng: np.random.Generator) -> IntArray:
    """Return for each estimate another of the same label and another view; failing that, any other."""
    chosen = np.empty(len(labels), dtype=np.int64)
    for position in range(len(labels)):
        order = rng.permutation(len(labels))
        order = order[order != position]
        alike = order[(labels[order] == labels[position]) & (views[order] != views[position])]
        chosen[position] = alike[0] if len(alike) else (order[0] if len(order) else position)
    return chosen


def _detail(arms: Arms, decision: Decision) -> str:
    return (
        f"Estimates: system {decision.hits}, null {decision.null_hits}, control {decision.control_hits} of "
        f"{len(arms.system)}; {decision.views} files."
    )
