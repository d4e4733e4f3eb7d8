"""The clock of a command. Read once.

Who audits: as said, else SOURCE_DATE_EPOCH, else now. Who verifies or judges: as said, else now; where whoever is
judged may set the environment, as in a CI job, an old report would else be fresh and a lapsed waiver live.
"""

import os
from datetime import UTC, date, datetime

import click


class MomentType(click.ParamType[datetime]):
    """An ISO 8601 date-time with an offset, such as 2026-11-21T12:00:00Z."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the moment in UTC, whole seconds."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no date-time; write it as 2026-11-21T12:00:00Z", param, ctx)
        if moment.tzinfo is None:
            self.fail(f"{value!r} has no time zone; end it with Z or an offset", param, ctx)
        try:
            return moment.astimezone(UTC).replace(microsecond=0)
        except OverflowError:
            self.fail(f"{value!r} lies outside the years 1 to 9999 in UTC", param, ctx)


class DayType(click.ParamType[date]):
    """A calendar day, such as 2026-11-21."""

    name = "day"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Return the day."""
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no day; write it as 2026-11-21", param, ctx)


MOMENT = MomentType()
DAY = DayType()


def the_time(given: datetime | None) -> datetime:
    """Return the moment that was given, else that of SOURCE_DATE_EPOCH (seconds), else the clock's; whole seconds, UTC.

    Raises:
        click.UsageError: SOURCE_DATE_EPOCH is not a number of seconds.
    """
    if given is not None:
        return given
    if (epoch := os.environ.get("SOURCE_DATE_EPOCH")) is not None:
        try:
            return datetime.fromtimestamp(int(epoch), UTC)
        except (ValueError, OverflowError, OSError):
            raise click.UsageError(f"SOURCE_DATE_EPOCH={epoch!r} is no number of seconds since 1970") from None
    return datetime.now(UTC).replace(microsecond=0)


def the_verifiers_time(given: datetime | None) -> datetime:
    """Return the moment that was given, else the clock's, whatever the environment says; whole seconds, UTC."""
    return given if given is not None else datetime.now(UTC).replace(microsecond=0)
