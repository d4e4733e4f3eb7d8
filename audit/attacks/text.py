"""Text read out of a language model's update, token by token.

The gradients of the first two blocks' value projections span what the blocks were given; which tokens lie in that span
is told exactly, without an optimiser (DAGER, Petrov et al. 2024, arXiv:2405.15586). The kernels stand beside this file:
`text_decoder` (what of the model is run), `text_span`, `text_search`, `text_endings`, and `text_metrics` for whose
sequence it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from torch import nn

from audit.answer import Wording, answer, left_out, skipped, without_records
from audit.attacks.text_arms import PlayedText, Trial, attack, play_text
from audit.attacks.text_decoder import decoder_of
from audit.attacks.text_exhibits import (
    MOST_ALIKE,
    described_text,
    score_measurements,
    text_diagnosis,
    text_limits,
    too_costly,
    too_full,
)
from audit.attacks.text_scene import Gradient, set_text_scene
from audit.attacks.text_search import Recovered
from audit.decision import verdict, without_accusation
from audit.exhibits import arm_measurements, arms_plot, npz_bytes
from audit.load import Excluded
from audit.load_text import PlantedTexts, holds_text, is_language_model, planted_texts, reference_texts, vocabulary_of
from audit.view import View, visible
from reports.check import Context, check
from reports.model import Confidentiality, Effort, Finding, Measurement, Remedy, Severity, Status, Strength, System

MOST_TOKENS = {Effort.SMOKE: 64, Effort.STANDARD: 256}
"""Tokens in a view, padding counted, beyond which it is not read at this effort."""
MOST_WORK = {Effort.SMOKE: 2e11, Effort.STANDARD: 1e12}
"""`Gradient.work` in all; a view of 26 tokens of a model of 135 million parameters takes 5e10."""

FULL, COSTLY = "views of as many tokens as the model is wide", "views beyond this effort"
"""What was left out, in the words of what no reading answers."""


@dataclass(frozen=True)
class Scope:
    """Where sequences were looked for, and what follows."""

    where: str
    """For the summary."""
    remedy: Remedy
    """Of a failure."""
    limitations: Sequence[str] = ()
    """What the views rest on."""
    measurements: Sequence[Measurement] = ()
    """Further figures of the check."""
    doubt: str = ""
    """Why the views may clear the system but cannot accuse it; turns a failure inconclusive."""
    severity: Severity | None = None
    """Of a failure, where the check knows better than the rule."""


@check(
    "attack.text",
    "Token sequences do not come back from an update",
    needs=("updates.truth", "model.checkpoint", "extra:llm"),
    controls=("EU-AIA:15(5)#confidentiality", "EU-AIA:annex-IV(2)(g)", "GDPR:5(1)(f)"),
    kinds=("reconstruction",),
    strength=Strength.STATISTICAL,
    severity=Severity.CRITICAL,
)
def text(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether a server that sees single updates of a language model can read the text behind them.

    Fails when a sequence comes back whole, or more are identified than from updates of other sequences (p <= 0.01);
    passes when at most 5 % (and chance) are, with 95 % confidence, and the same readings work on unprotected twins;
    skipped when the server sees sums alone or the system holds no text; else inconclusive, also where a view holds as
    many tokens as the model is wide.
    """
    if system.federation is not None and system.federation.visibility == "aggregate":
        yield skipped(ctx, "The attacker sees sums only, no single update.", "sums-only")
        return
    if not is_language_model(system, ctx.folder):
        yield skipped(ctx, "The model is no folder of a language model.", "no-language-model")
        return
    if not holds_text(system, ctx.folder):
        yield skipped(ctx, "No update of a single client is recorded with token ids as its truth.", "no-text")
        return
    planted = planted_texts(system, ctx.folder, tensors_read)
    seen = visible(system, planted.updates, ctx.rng("corrupt"))
    mend = Remedy(
        parameter="federation.visibility", direction="set", value="aggregate",
        text="Let the server see sums alone (secure aggregation), or let each client clip and add noise.",
    )  # fmt: skip
    yield read_texts(system, ctx, seen.singles, planted, Scope("in single updates", mend))


def tensors_read(model: nn.Module) -> tuple[str, ...]:
    """Return the names of the tensors, among those of a language model, that the attack reads."""
    return decoder_of(model).reads


def read_texts(system: System, ctx: Context, views: Sequence[View], planted: PlantedTexts, scope: Scope) -> Finding:
    """Return the finding of reading text out of `views`: three arms, one verdict.

    Args:
        system: The system.
        ctx: Of the check that asks.
        views: Of a language model; see `audit.load_text` for what their truths hold.
        planted: What they were taken from.
        scope: Where sequences are looked for, and what follows.
    """
    needed = {id(base): _needed(base) for base in {id(view.base): view.base for view in views}.values()}
    readable = [view for view in views if needed[id(view.base)] <= set(view.tensors)]
    lacking = [view.label for view in views if view not in readable]
    excluded = [*planted.excluded, *(Excluded(label, "it lacks the first two value projections") for label in lacking)]
    if not readable:
        return without_records(ctx, "No recorded update of text can be used.", excluded)
    public = reference_texts(system, ctx.folder, vocabulary_of(readable[0].base))
    scene = set_text_scene(readable, public, ctx.rng("candidates"))
    loud = [one for one in scene.gradients if not one.silent]
    fitting = [one for one in loud if one.tokens < one.decoder.capacity]
    kept = _affordable(fitting, ctx.effort)
    omitted = left_out(excluded, sum(len(one.records) for one in scene.gradients if one.silent))
    if not loud:
        return without_records(ctx, "Every recorded update of text is zero throughout.", excluded)
    if not fitting:
        return too_full(ctx, loud, omitted)
    if not kept:
        return too_costly(ctx, omitted)
    full, costly = len(loud) - len(fitting), len(fitting) - len(kept)
    chosen = scene.holding(kept)
    played = _withholding(play_text(chosen, partial(_run, ctx), ctx.rng("null")), full, costly)
    decision = verdict(played)
    if scope.doubt:
        decision = without_accusation(decision)
    if played.control_alike > MOST_ALIKE and decision.status is not Status.FAIL:
        decision = replace(decision, status=Status.INCONCLUSIVE, reason="control-failed")
    elif decision.reason == "undecided" and played.unanswered == (COSTLY,):
        decision = replace(decision, reason="budget")
    method = f"share of planted sequences identified by {' + '.join(played.variants)}"
    title = f"Sequences read {scope.where}"
    return answer(
        ctx,
        system,
        played,
        decision,
        Wording("planted sequences", "identified", scope.where),
        measurements=[
            *arm_measurements(played, decision, "identifiability", method),
            *score_measurements(chosen.planted, played.best, planted.secrets, ctx.rng("scores")),
            *scope.measurements,
        ],
        evidence=[
            *arms_plot(ctx, played, decision, title, "share of planted sequences identified"),
            _kept(ctx, played),
        ],
        remedy=scope.remedy,
        limitations=[*scope.limitations, *omitted, *text_limits(chosen, full, costly, ctx.effort)],
        detail=described_text(played),
        diagnosis=text_diagnosis(played),
        severity=scope.severity,
        doubt=scope.doubt,
    )


def _run(ctx: Context, trials: Sequence[Trial], purpose: str) -> Iterator[Recovered]:
    return ctx.map(attack, trials, purpose=purpose)


def _needed(model: nn.Module) -> set[str]:
    return {name for projection in decoder_of(model).projections for name in projection.tensors}


def _affordable(gradients: Sequence[Gradient], effort: Effort) -> list[Gradient]:
    """Return the gradients that are read at an effort, counted in tokens and parameters, never by the clock."""
    left = MOST_WORK.get(effort, np.inf)
    kept = []
    for one in gradients:
        if one.tokens <= MOST_TOKENS.get(effort, np.inf) and one.work <= left:
            kept.append(one)
            left -= one.work
    return kept


def _withholding(played: PlayedText, full: int, costly: int) -> PlayedText:
    """Return the arms with what was not read among what nothing answers, so that it counts against a pass."""
    words = [*([FULL] if full else []), *([COSTLY] if costly else [])]
    return replace(played, unanswered=(*played.unanswered, *words))


def _kept(ctx: Context, played: PlayedText) -> str:
    """Keep the recovered token ids, and return their digest."""
    arrays = {f"sequence_{row:05d}": np.array(text, dtype=np.int64) for row, text in enumerate(played.best)}
    data = npz_bytes({**arrays, "identified": played.system})
    return ctx.evidence("recovered token ids", data, "application/x-npz", Confidentiality.RESTRICTED)
