"""How much power each check showed: how many flaws that are aimed at it it caught, and how many twins it accused."""

from collections.abc import Iterable, Sequence

from audit.selftest.matrix import Row
from reports.model import Status
from reports.self_test import CheckPower
from reports.statistics import clopper_pearson

DECIDING = (Status.PASS, Status.FAIL, Status.INCONCLUSIVE)
"""Answers of a check that was asked and did not break off."""


def power_of(rows: Sequence[Row], checks: Iterable[str]) -> tuple[CheckPower, ...]:
    """Return what each check showed, by check.

    A flaw that names several checks counts as a trial of each, though one of them suffices to catch it: so the bound is
    never too high. Rows that could not be played count for nobody.

    Args:
        rows: of the matrix.
        checks: the catalogue; checks that only a flaw names are added.
    """
    played = [row for row in rows if not row.faults]
    named = {check for row in rows for check in row.caught_by}
    return tuple(_power(check, played) for check in sorted(named | set(checks)))


def _power(check: str, played: Sequence[Row]) -> CheckPower:
    aimed = [row for row in played if check in row.caught_by]
    hits = sum(check in row.caught for row in aimed)
    twins = [row.twin[check] for row in played if row.twin.get(check) in DECIDING]
    accused = sum(status is Status.FAIL for status in twins)
    return CheckPower(
        check=check,
        flaws=tuple(sorted({row.flaw for row in aimed})),
        trials=len(aimed),
        caught=hits,
        caught_at_least=clopper_pearson(hits, len(aimed), side="one").low,
        twins=len(twins),
        false_alarms=accused,
        false_alarms_at_most=clopper_pearson(accused, len(twins), side="one").high,
    )
