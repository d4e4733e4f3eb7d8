"""`fedaudit gate --lint`: are the files that judge sound, before there is anything to judge?

A fault in them is exit 2, as it would be when judging. What is no fault, yet cannot be satisfied, or soon cannot, is a
warning: a waiver that lapses, a role without keys enough, a time-stamp that nobody listed can give, a duty that the
catalogue of the law does not know.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime

import click

from reports.judge_waivers import foreseen
from reports.policy import Policy, Waiver
from reports.trust import Trust
from reports.verdict import Judgement, Outcome
from reports.wording import counted

MEANT_FOR_LINT = frozenset({"policy", "trust", "waivers", "now", "today", "lint"})
"""What may stand beside `--lint`; anything else needs a bundle."""


def require_lint_alone(ctx: click.Context) -> None:
    """Refuse (a usage error) what speaks of a bundle beside `--lint`; what the environment says is left alone."""
    for option in ctx.command.params:
        name = option.name or ""
        said = ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if said and option.expose_value and name not in MEANT_FOR_LINT:  # --json and its like are not exposed
            word = "BUNDLE" if isinstance(option, click.Argument) else option.opts[0]
            raise click.UsageError(f"--lint looks at the files that judge, not at a report: remove {word}")


def lint_warnings(
    policy: Policy, waivers: Sequence[Waiver], trust: Trust | None, now: datetime, today: date
) -> tuple[Judgement, ...]:
    """Return the warnings about files that load: keys are looked at as of `now`, waivers as of `today` (UTC)."""
    return (
        *_unknown_duties(policy),
        *(() if trust is None else (*_too_few_keys(trust, now), *_no_authority(trust, now))),
        *foreseen(waivers, today),
    )


def _unknown_duties(policy: Policy) -> Iterator[Judgement]:
    required = {f"require[{index}]": rule.control for index, rule in enumerate(policy.require) if rule.control}
    if not required:
        return
    from compliance.catalogue import all_controls  # only here: a gate that judges needs no catalogue

    known = {control.id for control in all_controls()}
    for rule, control in required.items():
        if control not in known:
            message = f"{control} is no duty of the catalogue, so no report can support it; see `compliance controls`."
            yield _warning(rule, "policy.control", message)


def _too_few_keys(trust: Trust, now: datetime) -> Iterator[Judgement]:
    for role, needed in trust.require.items():
        usable = [trusted for trusted in trust.keys if trusted.role == role and not trusted.objection(now)]
        if len(usable) < needed:
            held = f"{counted(len(usable), 'key')} of that role {'counts' if len(usable) == 1 else 'count'} today"
            message = f"{needed} of role {role} must sign and {held}: a report finished now cannot be believed."
            yield _warning(f"trust.require.{role}", "trust.too_few_keys", message)


def _no_authority(trust: Trust, now: datetime) -> Iterator[Judgement]:
    """Yield what keeps new time-stamps from counting: nobody is listed, or a certificate has run out."""
    if trust.require_timestamp and not trust.authorities:
        message = "require_timestamp is true and no [[timestamp_authorities]] is listed: no report can be believed."
        yield _warning("trust.require_timestamp", "trust.no_authority", message)
    for index, authority in enumerate(trust.authorities):
        until = authority.certificate.not_valid_after_utc
        if until <= now:
            message = (
                f"The certificate of {authority.name} ended on {until:%Y-%m-%d}: no later time-stamp by it counts."
            )
            yield _warning(f"trust.timestamp_authorities[{index}]", "trust.authority_expired", message)


def _warning(rule: str, code: str, message: str) -> Judgement:
    return Judgement(rule=rule, outcome=Outcome.WARN, code=code, message=message)
