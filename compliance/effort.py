"""How much an assessment asks at each effort: which duties, how often, with how many controls on the reader."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from compliance.catalogue import Catalogue, Control
from compliance.errors import CatalogueError
from compliance.judge_file import JudgeFile
from reports.nouns import Effort

__all__ = ["PLANS", "EffortPlan", "articles_of", "asked_controls", "bounded"]

SMOKE_ARTICLES = ("9", "10", "14", "15")


@dataclass(frozen=True)
class EffortPlan:
    """What one effort allows."""

    samples: int
    """Answers asked for each question, where the judge file does not say."""
    pairs: int
    """Planted pairs of excerpts at most."""
    requests: int
    """Sent at most, retries included."""
    panel: bool
    """Whether every member reads, or the first alone."""
    every_part: bool
    """Whether parts without a flag are tried for what steers a reader as well."""
    claims: bool
    """Whether the first member is asked for claims too."""


PLANS: Final[Mapping[Effort, EffortPlan]] = {
    Effort.SMOKE: EffortPlan(1, 1, 60, panel=False, every_part=False, claims=False),
    Effort.STANDARD: EffortPlan(3, 5, 1500, panel=False, every_part=False, claims=False),
    Effort.FULL: EffortPlan(5, 5, 20_000, panel=True, every_part=True, claims=True),
}


def asked_controls(catalogue: Catalogue, roles: Collection[str], effort: Effort) -> tuple[Control, ...]:
    """Return the duties of some roles that documents can show: at smoke those of Arts. 9, 10, 14 and 15 alone."""
    return tuple(
        control
        for control in catalogue.controls
        if control.document_kind
        and control.role in roles
        and (effort is not Effort.SMOKE or any(_article(one) in SMOKE_ARTICLES for one in control.citations))
    )


def articles_of(catalogue: Catalogue, articles: Sequence[str]) -> tuple[Control, ...]:
    """Return the duties of some articles of the AI Act, such as `9` or `4a`.

    Raises:
        CatalogueError: `catalogue.control`, an article has no duty in this version.
    """
    for number in articles:
        if not any(_article(one) == number for control in catalogue.controls for one in control.citations):
            known = {_article(one) for control in catalogue.controls for one in control.citations}
            listed = ", ".join(sorted(one for one in known if one[:1].isdigit()))
            message = f"no control of the version {catalogue.version} belongs to Article {number!r:.20}"
            raise CatalogueError("catalogue.control", message, f"Known are {listed}.")
    return tuple(c for c in catalogue.controls if any(_article(one) in articles for one in c.citations))


def bounded(judge_file: JudgeFile, effort: Effort) -> JudgeFile:
    """Return a judge file with the members and the budget that an effort allows; a smaller budget stays."""
    plan = PLANS[effort]
    own = judge_file.budget.requests
    requests = plan.requests if own is None else min(own, plan.requests)
    members = judge_file.members if plan.panel else judge_file.members[:1]
    return judge_file.model_copy(
        update={"members": members, "budget": judge_file.budget.model_copy(update={"requests": requests})}
    )


def _article(citation: str) -> str:
    """Return the article of the AI Act that a citation lies in; empty for an annex's own or another law's place."""
    return citation.removeprefix("EU-AIA:").partition("(")[0] if citation.startswith("EU-AIA:") else ""
