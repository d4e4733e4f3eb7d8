"""What an attack on text leaves behind: scores that decide nothing, what was met, and what was not tried."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from audit.attacks.text_arms import PlayedText
from audit.attacks.text_metrics import recalled, rouge_l, token_f1
from audit.attacks.text_scene import Gradient, Text, TextScene
from reports.context import Context
from reports.model import Effort, Finding, Measurement, Remedy, Status
from reports.statistics import bootstrap, clopper_pearson

MOST_ALIKE = 0.25
"""Share of the vocabulary inside a span from which on the span names nobody."""
RESAMPLES = 1000
"""Of the intervals of the scores."""


def score_measurements(
    planted: Sequence[Text], best: Sequence[Text], secrets: Mapping[Text, tuple[bool, ...]], rng: np.random.Generator
) -> list[Measurement]:
    """Return exact sequences, mean token F1 and ROUGE-L, and the share of planted secrets that came back.

    Args:
        planted: Every planted sequence.
        best: Of each the nearest recovered one, empty where there is none.
        secrets: Of some planted sequences which tokens are their secret.
        rng: Draws the resamples of the intervals.
    """
    pairs = list(zip(best, planted, strict=True))
    exact = sum(guess == truth for guess, truth in pairs)
    found = [
        Measurement(name="exact_sequences", value=float(exact), n=len(pairs), method="sequences back token for token"),
        _mean("token_f1", [token_f1(*pair) for pair in pairs], "F1 of tokens as multisets, mean over sequences", rng),
        _mean("rouge_l", [rouge_l(*pair) for pair in pairs], "F1 of the longest common subsequence, mean", rng),
    ]
    counts = np.array([recalled(guess, truth, secrets[truth]) for guess, truth in pairs if truth in secrets])
    if len(counts):
        back, wanted = (int(count) for count in counts.sum(axis=0))
        method = "tokens of planted secrets (secret_mask) back at their place; Clopper-Pearson interval, 95 %"
        interval = clopper_pearson(back, wanted)
        found.append(Measurement(name="secret_recall", value=back / wanted, interval=interval, n=wanted, method=method))
    return found


def described_text(played: PlayedText) -> str:
    """Return what was seen in the views and what each reading found, for people."""
    seen = [f"{defence.name.value} ({defence.detail})" for defence in played.defences]
    lines = [f"Seen in the views or declared: {', '.join(seen) if seen else 'no defence'}."]
    for name, paired in played.variants.items():
        counts = ", ".join(
            f"{arm} {int(hits.sum())}"
            for arm, hits in (("system", paired.system), ("null", paired.null), ("control", paired.control))
        )
        lines.append(f"Reading by {name}: {counts} of {len(paired.system)}.")
    if played.unanswered:
        lines.append(f"Not answered by any reading: {', '.join(played.unanswered)}.")
    return "\n".join(lines)


def text_diagnosis(played: PlayedText) -> str:
    """Return the likeliest reason that the attack fails on unprotected twins, half a sentence."""
    if played.control_alike > MOST_ALIKE:
        return f"{played.control_alike:.0%} of the vocabulary cannot be told from the tokens that were read"
    return "check that the folder's model is the one that was trained, and that planted and public texts differ"


def too_full(ctx: Context, gradients: Sequence[Gradient], limitations: Sequence[str]) -> Finding:
    """Return the finding where every view holds as many tokens as its model can keep apart."""
    fewest = min(gradients, key=lambda one: one.tokens - one.decoder.capacity)
    room = fewest.decoder.capacity
    summary = f"Every view holds as many tokens as the model is wide or more ({fewest.tokens}, room is for {room})."
    remedy = Remedy(
        parameter="updates.batch_size", direction="lower",
        text=f"Record updates of fewer than {room} tokens in all, padding counted.",
    )  # fmt: skip
    reason = "not-applicable:batch-fills-width"
    return ctx.finding(Status.INCONCLUSIVE, summary, remedy=remedy, limitations=limitations, reason=reason)


def too_costly(ctx: Context, limitations: Sequence[str]) -> Finding:
    """Return the finding where no view is small enough for the effort."""
    remedy = Remedy(parameter="effort", direction="raise", text="Ask again at a higher --effort.")
    summary = f"No view is small enough to be read at effort {ctx.effort.value}."
    return ctx.finding(Status.INCONCLUSIVE, summary, remedy=remedy, limitations=limitations, reason="budget")


def text_limits(scene: TextScene, full: int, costly: int, effort: Effort) -> Iterator[str]:
    """Yield what was not tried."""
    yield "The loss is taken for the mean over predicted tokens, of a model in evaluation mode."
    yield "No knowledge of language was used: under noise an attacker with a language model may read more."
    if full:
        yield f"Left out: {full} views of as many tokens as the model is wide, which this attack cannot read."
    if costly:
        yield f"Left out: {costly} views that are beyond effort {effort.value}."
    if not scene.public:
        yield "No public sequences are declared; the candidates are the planted sequences alone."


def _mean(name: str, values: Sequence[float], method: str, rng: np.random.Generator) -> Measurement:
    scores = np.array(values)
    interval = None
    if len(scores) > 1 and np.ptp(scores) > 0:
        interval = bootstrap(lambda units: float(units.mean()), scores, rng, RESAMPLES)
        method = f"{method}; bootstrap interval over sequences, 95 %"
    return Measurement(name=name, value=float(scores.mean()), interval=interval, n=len(scores), method=method)
