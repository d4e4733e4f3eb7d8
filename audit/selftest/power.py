"""How much power each check showed: how many flaws that are aimed at it it caught, and how many twins it accused."""

from collections.abc import Iterable, Sequence

from audit.selftest.matrix import Row
from reports.self_test import CheckPower, power_shown


def power_of(rows: Sequence[Row], checks: Iterable[str]) -> tuple[CheckPower, ...]:
    """Return what each check showed, by check.

    A flaw that names several checks counts as a trial of each, though one of them suffices to catch it: so the bound is
    never too high. Rows that could not be played count for nobody.

    Args:
        rows: of the matrix.
        checks: the catalogue; checks that only a flaw names are added.
    """
    played = [row.noun for row in rows if not row.faults]
    named = {check for row in rows for check in row.caught_by}
    return tuple(power_shown(check, played) for check in sorted(named | set(checks)))
