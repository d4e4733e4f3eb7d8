"""Is a reader of documents fit to be believed: its scores against those of legal experts.

    Dataset, scores ──calibrate──▶ Calibration ──calibration_bytes──▶ calibration.json ──read_calibration──▶ admission

A reader meets the bar by five figures at once, and is admitted only by answers that were asked for here.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date

import numpy as np

from compliance.admission import AdmissionState, admission, measured_for
from compliance.agreement import Agreement
from compliance.aireg import Dataset, Item
from compliance.calibration_figures import (
    Compared,
    article_agreement,
    counted_words,
    human,
    lexical,
    metrics,
    panel,
    score_sets,
    skill,
)
from compliance.calibration_file import Calibration, Reason, calibration_bytes, read_calibration, sealed
from compliance.calibration_records import (
    DatasetRecord,
    Estimate,
    FalseCompliant,
    FalseNoncompliant,
    Lexical,
    Metrics,
    Undefined,
)
from compliance.fingerprint import Fingerprint, panel_fingerprint, reader_fingerprint

__all__ = [
    "AdmissionState",
    "Calibration",
    "Fingerprint",
    "admission",
    "calibrate",
    "calibration_bytes",
    "measured_for",
    "panel_fingerprint",
    "read_calibration",
    "reader_fingerprint",
]

LEAST_ITEMS = 60
LEAST_KAPPA = 0.65
"""For the lower end of its interval."""
MOST_FALSE_COMPLIANT = 0.20
"""For the upper end of its interval."""
ASKED_PER_INVALID = 50
"""At most one answer in fifty may be invalid."""
LIMITATIONS = (
    "The experts judged by the text of the law of 2024.",
    "The excerpts are synthetic, about 800 words long and of one article each; none is of a federated system.",
    "Kappa over all items mostly tells sound excerpts from planted violations.",
    "Within violations even the experts agree little (alpha 0.145 on AIReg-Bench).",
    "Counting words is fitted on other items of the same benchmark, which a language model has not seen.",
    "Five of the ten models published with AIReg-Bench do not beat counting words (point estimates).",
)


def calibrate(
    dataset: Dataset,
    scores: Mapping[str, int | None],
    *,
    on: date,
    rng: np.random.Generator,
    rater: str = "reader",
    fingerprint: Fingerprint | None = None,
    invalid: Collection[str] = (),
    raters: Mapping[str, Mapping[str, int | None]] | None = None,
    resamples: int = 2000,
) -> Calibration:
    """Return how well a reader agrees with the experts, whether that meets the bar, and why not.

    Args:
        dataset: The items, with the experts' medians; their order changes nothing.
        scores: What the reader gave, 1 to 5 by id; None or absent where it gave nothing.
        on: The day.
        rng: Draws the resamples of items.
        rater: The reader's name.
        fingerprint: The reader, where it was asked here; without one it is never admitted (`scores_only`).
        invalid: Ids of items that it was asked about and did not answer in form.
        raters: Two or more raters by name, to be compared as a panel.
        resamples: Behind each interval.

    Raises:
        ValueError: a score is no integer from 1 to 5, or there is no resample.
    """
    items = sorted(dataset.items, key=lambda item: (item.use, item.article, item.id))
    compared = Compared.of(items, scores)
    found, baseline = compared.agreement(), counted_words(items, compared)
    tables = compared.resampled(rng, resamples, baseline)
    measured, words = metrics(found, tables), lexical(compared, baseline)
    short = tuple(_below_the_bar(found, measured, words, invalid=len(invalid)))
    reasons: tuple[Reason, ...] = short if fingerprint is not None else ("scores_only", *short)
    return sealed(
        Calibration(
            on=on,
            rater=rater,
            status="not_admitted" if reasons else "admitted",
            meets_bar=not short,
            reasons=reasons,
            dataset=DatasetRecord(
                name=dataset.name, sha256=dataset.sha256, n=len(items), law_version=dataset.law_version
            ),
            n=found.n,
            metrics=measured,
            by_article={
                str(article): article_agreement(compared.agreement(_is_of(article)))
                for article in sorted({item.article for item in compared.items})
            },
            within_violation=article_agreement(compared.agreement(lambda item: item.profile == "violation")),
            false_compliant=_false_compliant(found),
            false_noncompliant=FalseNoncompliant(count=found.false_noncompliant.count, of=found.false_noncompliant.of),
            human=human(items),
            lexical=words,
            skill=skill(found, words, tables),
            score_set=score_sets(compared),
            panel=panel(items, raters, rng, resamples) if raters and len(raters) > 1 else None,
            missing=len(items) + len(dataset.unrated) - found.n - len(invalid),
            invalid=len(invalid),
            fingerprint=fingerprint,
            resamples=resamples,
            scores={item.id: scores.get(item.id) for item in items},
            limitations=LIMITATIONS,
            sha256="0" * 64,
        )
    )


def _below_the_bar(found: Agreement, measured: Metrics, words: Lexical, *, invalid: int) -> Iterator[Reason]:
    """Yield what the reader falls short of."""
    kappa = measured.kappa_qw
    if found.n < LEAST_ITEMS:
        yield "too_few_items"
    if not isinstance(kappa, Estimate) or kappa.low is None or kappa.low < LEAST_KAPPA:
        yield "kappa_interval"
    if found.false_compliant.upper > MOST_FALSE_COMPLIANT:
        yield "false_compliant"
    least = 0.0 if isinstance(words.kappa_qw, Undefined) else words.kappa_qw
    if found.kappa_qw is None or found.kappa_qw < least:
        yield "below_baseline"
    if invalid * ASKED_PER_INVALID > found.n + invalid:
        yield "invalid_answers"


def _false_compliant(found: Agreement) -> FalseCompliant:
    missed = found.false_compliant
    return FalseCompliant(count=missed.count, of=missed.of, rate=missed.rate, upper=missed.upper)


def _is_of(article: int) -> Callable[[Item], bool]:
    return lambda item: item.article == article
