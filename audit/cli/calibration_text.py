"""A calibration for people: what it comes to first, then the figures, then what they do not say."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from compliance.calibration import Calibration
    from compliance.calibration_records import Estimate, Metrics, Plain, Undefined

_REASONS = {
    "scores_only": "the scores were handed in; only a reader that is asked here is admitted",
    "too_few_items": "fewer than 60 items were compared",
    "kappa_interval": "the interval of kappa reaches below 0.65, or there is none",
    "false_compliant": "too many gaps may be missed: the upper bound is above 0.20",
    "below_baseline": "counting words agrees better with the experts",
    "invalid_answers": "more than 2 % of the answers cannot be used",
}


def text_of(found: "Calibration") -> str:
    """Return the lines for the terminal."""
    return "\n".join(_lines(found))


def _lines(found: "Calibration") -> Iterator[str]:
    verdict = "meets the calibration bar" if found.meets_bar else "does not meet the calibration bar"
    colour = "green" if found.status == "admitted" else "yellow"
    yield f"{click.style(f'{found.rater}: {verdict}', fg=colour, bold=True)} ({found.status.replace('_', ' ')})"
    yield from (f"  - {_REASONS[reason]}" for reason in found.reasons)
    missing = f", {found.missing} without a score" if found.missing else ""
    invalid = f", {found.invalid} answered in no usable form" if found.invalid else ""
    data = found.dataset
    yield f"  items            {found.n} of {data.n} in {data.name}, by the law of {data.law_version}{missing}{invalid}"
    yield from _agreement(found.metrics)
    missed = found.false_compliant
    yield f"  gaps missed      {missed.count} of {missed.of} (at most {missed.upper:.1%} with 95 % confidence)"
    yield f"  gaps invented    {found.false_noncompliant.count} of {found.false_noncompliant.of}"
    inside = found.within_violation
    yield f"  in violations    kappa {_number(inside.kappa_qw)}, distance {_number(inside.mae)} (n = {inside.n})"
    for article, part in found.by_article.items():
        head = f"Article {article}"
        yield f"  {head:<16} kappa {_number(part.kappa_qw)}, distance {_number(part.mae)} (n = {part.n})"
    yield f"  experts          alpha {_number(found.human.alpha_ordinal)} among themselves"
    counted = "counted here" if found.lexical.source == "computed" else "published for all 120 items"
    yield f"  counting words   kappa {_number(found.lexical.kappa_qw)} ({counted})"
    yield f"  skill            {_skill(found)}"
    sets = found.score_set
    held = (
        f"holds {_number(sets.coverage)} of the experts' medians" if isinstance(sets.coverage, float) else "coverage -"
    )
    yield f"  score set        within {sets.radius}; {held}, {_number(sets.mean_size)} labels on average"
    if found.panel is not None:
        kappa = _estimate("kappa", found.panel.metrics.kappa_qw)
        yield f"  panel of {len(found.panel.raters):<7} alpha {_number(found.panel.alpha_ordinal)}, {kappa}"
    yield from (click.style(f"  {limit}", dim=True) for limit in found.limitations)


def _agreement(metrics: "Metrics") -> Iterator[str]:
    ranks = _estimate("rank correlation", metrics.spearman)
    yield f"  agreement        {_estimate('kappa', metrics.kappa_qw)}; {ranks}"
    yield f"  distance         {_estimate('mean', metrics.mae)}; {_estimate('bias', metrics.bias)} labels"
    shares = ("exact", metrics.exact), ("above", metrics.over), ("below", metrics.under)
    yield "  shares           " + ", ".join(_estimate(name, share) for name, share in shares)


def _estimate(name: str, value: "Estimate | Plain | Undefined") -> str:
    if value.value is None:
        return f"{name} - ({getattr(value, 'undefined', '')})"
    low, high = getattr(value, "low", None), getattr(value, "high", None)
    return f"{name} {value.value:.3f}" + ("" if low is None or high is None else f" [{low:.2f}, {high:.2f}]")


def _number(value: "float | Undefined") -> str:
    return f"{value:.3f}" if isinstance(value, float) else "-"


def _skill(found: "Calibration") -> str:
    skill = found.skill
    if skill.value is None:
        return f"- ({skill.undefined})"
    ends = "" if skill.low is None or skill.high is None else f" [{skill.low:+.2f}, {skill.high:+.2f}]"
    return f"{skill.value:+.3f}{ends} over counting words" + (f" ({skill.undefined})" if skill.undefined else "")
