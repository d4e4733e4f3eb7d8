"""From when a duty applies, to whom, and whether an old system still has time.

Regulation (EU) 2024/1689 Arts. 111 and 113, in the text of 2024 and as amended by Regulation (EU) 2026/1744; the days
stand in `compliance/law/timeline.json`, which is handed in. Two readings are ours: the formal duties (Chapter III
Section 5, Chapter IX) take effect on a high-risk system only together with the high-risk duties, so that Art. 111(2)
holds for them as well; and an annex follows the article that calls it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, Protocol, TypeAlias

Annex: TypeAlias = Literal["III", "I"]
State: TypeAlias = Literal[
    "not_in_version",
    "repealed",
    "not_addressed",
    "not_yet",
    "transitional",
    "with_high_risk",
    "condition_unknown",
    "applies",
]
"""In the order in which they are asked."""
STATES: tuple[State, ...] = (
    "not_in_version",
    "repealed",
    "not_addressed",
    "not_yet",
    "transitional",
    "with_high_risk",
    "condition_unknown",
    "applies",
)
_KEY: Mapping[str, str] = {"III": "annex_iii", "I": "annex_i"}
_ANNEX_NAME: Mapping[str, str] = {"annex_iii": "Annex III", "annex_i": "Annex I"}
_FIXED_BY: Mapping[str, str] = {"gdpr": "GDPR:99(2)"}
_DEFAULT_FIXED_BY = "EU-AIA:113"
_FOR_HIGH_RISK = ("high-risk", "formal")
"""Rules whose duties fall on high-risk systems alone."""


class Duty(Protocol):
    """What this module needs to know of a control."""

    @property
    def id(self) -> str:
        """Of the catalogue."""

    @property
    def instrument(self) -> str:
        """The law it stands in."""

    @property
    def role(self) -> str:
        """Whose duty it is."""

    @property
    def rule(self) -> str:
        """Which dates decide."""

    @property
    def condition(self) -> str | None:
        """The word without which it does not hold."""

    @property
    def law_versions(self) -> tuple[str, ...]:
        """The versions that hold it."""

    @property
    def repealed_on(self) -> date | None:
        """Day of its repeal."""

    @property
    def replaced_by(self) -> str | None:
        """Control that took its place."""


@dataclass(frozen=True)
class Applicability:
    """Whether a duty applies on one day, to one system."""

    state: State
    """The answer."""
    from_: date | None
    """First day it applies: of the annex, or the earlier of both where the annex is not known."""
    dates: Mapping[str, date]
    """The first days by `annex_iii` and `annex_i`."""
    reason: str
    """One sentence for people, with role, condition and article."""


@dataclass(frozen=True)
class _Case:
    """One system on one day."""

    on: date
    timeline: Mapping[str, Any]
    law_version: str
    annex: Annex | None
    placed_on_market: date | None
    roles: Collection[str] | None
    conditions: Collection[str]
    risk_class: str | None

    def dates(self, rule: str) -> dict[str, date]:
        """Return the first days of one rule in this version of the law; empty where it has none."""
        found = self.timeline["rules"][rule].get(self.law_version)
        if found is None:
            return {}
        both = found if isinstance(found, Mapping) else dict.fromkeys(_KEY.values(), found)
        return {key: date.fromisoformat(day) for key, day in both.items()}

    def deciding(self, days: Mapping[str, date]) -> date:
        """Return the day of the system's annex, the earlier one where that is not known."""
        return min(days.values()) if self.annex is None else days[_KEY[self.annex]]


def applicability(
    control: Duty,
    on: date,
    *,
    timeline: Mapping[str, Any],
    law_version: str,
    annex: Annex | None = None,
    placed_on_market: date | None = None,
    roles: Collection[str] | None = None,
    conditions: Collection[str] | None = None,
    risk_class: str | None = None,
) -> Applicability:
    """Say whether a duty applies on a day.

    Args:
        control: The duty.
        on: The day.
        timeline: The dates, `fedaudit.timeline/1`.
        law_version: Of the AI Act, such as `2026-07-27`.
        annex: Which annex makes the system high-risk; None where nobody said.
        placed_on_market: Day of placing on the market or putting into service; None where nobody said.
        roles: Of the one who asks; None leaves no role out.
        conditions: Words that hold, `no-WORD` for those that do not; what is not named is unknown.
        risk_class: As the owner classifies the system; None where nobody said.
    """
    case = _Case(on, timeline, law_version, annex, placed_on_market, roles, tuple(conditions or ()), risk_class)
    days = case.dates(control.rule)
    state, said = _state(control, case, days)
    first = case.deciding(days) if days else None
    return Applicability(state, first, days, f"{_whose(control, case)}: {said}.")


def _state(control: Duty, case: _Case, days: Mapping[str, date]) -> tuple[State, str]:
    """Return the first state that holds, in the order of `STATES`, and the words for it."""
    in_version = control.instrument != "EU-AIA" or case.law_version in control.law_versions
    if not in_version or not days:
        return "not_in_version", f"not in the version {case.law_version} of the law"
    if control.repealed_on is not None and control.repealed_on <= case.on:
        since = f", see {control.replaced_by}" if control.replaced_by else ""
        return "repealed", f"repealed on {control.repealed_on}{since}"
    if (why := _not_addressed(control, case)) is not None:
        return "not_addressed", why
    first = case.deciding(days)
    if first > case.on:
        return "not_yet", f"applies from {_first_days(days, case)} ({_fixed_by(control)})"
    if (why := _transitional(control, case)) is not None:
        return "transitional", why
    if (ahead := _high_risk_ahead(control, case)) is not None:
        article = _fixed_by(control)
        return "with_high_risk", f"takes effect together with the high-risk duties, from {ahead} ({article}, inferred)"
    if control.condition is not None and control.condition not in case.conditions:
        return (
            "condition_unknown",
            f"applies from {_first_days(days, case)} if the condition holds ({_fixed_by(control)})",
        )
    return "applies", f"applies since {_first_days(days, case)} ({_fixed_by(control)})"


def _not_addressed(control: Duty, case: _Case) -> str | None:
    if case.roles is not None and control.role not in case.roles:
        return f"the declared roles are {', '.join(case.roles) or 'none'}"
    if control.condition is not None and f"no-{control.condition}" in case.conditions:
        return f"the condition {control.condition!r} is denied"
    if control.rule in _FOR_HIGH_RISK and case.risk_class not in (None, "high-risk"):
        return f"a duty on high-risk systems, and the declared class is {case.risk_class} (EU-AIA:6)"
    return None


def _transitional(control: Duty, case: _Case) -> str | None:
    """Return why a system that was there before still has time; None where it has none or never had."""
    placed = case.placed_on_market
    rules = case.timeline["rules"]
    leading = rules[control.rule].get("bites_with", control.rule)  # Art. 111(2) speaks of the whole Regulation
    legacy = rules[leading].get("legacy")
    if placed is None or legacy is None or case.law_version not in legacy.get("versions", (case.law_version,)):
        return None
    article = legacy["article"]
    if "cut_off" not in legacy:
        before, until = date.fromisoformat(legacy["placed_before"]), date.fromisoformat(legacy["until"])
        if placed < before and case.on < until:
            return f"placed on the market on {placed}, before {before}, so it has until {until} ({article})"
        return None
    if leading != control.rule and case.deciding(case.dates(leading)) > case.on:
        return None  # the high-risk duties are still ahead for every system: `with_high_risk` says so
    cut_off = case.deciding({key: date.fromisoformat(day) for key, day in legacy["cut_off"][case.law_version].items()})
    authority = legacy["public_authority"]
    until = date.fromisoformat(authority["until"])
    public = authority["condition"] in case.conditions
    if placed >= cut_off or (public and case.on >= until):
        return None
    end = f"until {until}, as it is for a public authority, or " if public else "until "
    return f"placed on the market on {placed}, before {cut_off}: not {end}its design changes significantly ({article})"


def _high_risk_ahead(control: Duty, case: _Case) -> date | None:
    """Return the day of the high-risk duties where this duty waits for them and it is still ahead."""
    leading = case.timeline["rules"][control.rule].get("bites_with")
    if leading is None:
        return None
    first = case.deciding(case.dates(leading))
    return first if first > case.on else None


def _whose(control: Duty, case: _Case) -> str:
    if control.condition is None:
        under = "without condition"
    elif control.condition in case.conditions:
        under = f"under the condition {control.condition!r}, declared"
    elif f"no-{control.condition}" in case.conditions:
        under = f"under the condition {control.condition!r}, denied"
    else:
        under = f"under the condition {control.condition!r}, neither declared nor denied"
    return f"{control.id}, a duty of the {control.role} {under}"


def _first_days(days: Mapping[str, date], case: _Case) -> str:
    if len(set(days.values())) == 1:
        return str(case.deciding(days))
    named = [f"{days[key]} ({_ANNEX_NAME[key]})" for key in _KEY.values()]
    if case.annex is None:
        return f"{' or '.join(named)}, the earlier counting since the annex is not declared"
    return f"{days[_KEY[case.annex]]} (Annex {case.annex})"


def _fixed_by(control: Duty) -> str:
    return _FIXED_BY.get(control.rule, _DEFAULT_FIXED_BY)
