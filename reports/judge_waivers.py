"""Rule f of the judge: somebody answers, for a time, for what was found; it stays visible, and it expires.

A waiver excuses one kind of outcome. So "stricter never helps" holds of the rules, not of what is excused of them: a
larger `min_n` turns a failure into lack of trials, and a waiver for what is incomplete then covers it.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Literal, NamedTuple

from reports.policy import Policy, Waiver
from reports.verdict import Judgement, Outcome, WaiverState
from reports.wording import counted

State = Literal["applied", "expired", "not-yet", "unused"]
LAPSES_SOON = 14
"""From this many days before its last, a waiver that excuses something says that it will lapse."""


class Waived(NamedTuple):
    """What is left when the waivers have spoken."""

    judgements: tuple[Judgement, ...]
    """The judgements, excused ones marked, then one warning for each waiver that excused nothing or lapses soon."""
    states: tuple[WaiverState, ...]
    """What became of each waiver, in their order."""


def apply_waivers(
    judgements: Sequence[Judgement],
    waivers: Sequence[Waiver],
    policy: Policy,
    today: date,
    system: str,
    subject_sha256s: Sequence[str],
) -> Waived:
    """Excuse what a waiver in force covers; say so of each waiver that is not in force or covers nothing."""
    locked = _locked(judgements, policy)
    places: dict[str, list[int]] = {}
    for place, judgement in enumerate(judgements):
        places.setdefault(judgement.check, []).append(place)
    excused: dict[int, str] = {}
    warnings: list[Judgement] = []
    states: list[WaiverState] = []
    for index, waiver in enumerate(waivers):
        covered = [place for place in places.get(waiver.check, ()) if _covers(waiver, judgements[place])]
        open_to_it = [place for place in covered if place not in locked]
        misfit = _misfit(waiver, system, subject_sha256s)
        state = _state(waiver, today, bool(open_to_it) and not misfit)
        states.append(WaiverState(id=waiver.id, state=state))
        if state == "applied":
            for place in open_to_it:
                excused.setdefault(place, waiver.id)
            warnings += _lapse(f"waivers[{index}]", waiver, today)
        else:
            why = misfit or ("the policy says its rule is not waivable" if covered else "nothing here needs it")
            warnings.append(_warning(f"waivers[{index}]", waiver, state, why))
    judged = (
        judgement.model_copy(update={"outcome": Outcome.WAIVED, "waiver": excused[place]})
        if place in excused
        else judgement
        for place, judgement in enumerate(judgements)
    )
    return Waived((*judged, *warnings), tuple(states))


def foreseen(waivers: Sequence[Waiver], today: date) -> Iterator[Judgement]:
    """Yield what can be said of waivers without a report: which are not in force on a day, and which lapse soon."""
    for index, waiver in enumerate(waivers):
        rule, state = f"waivers[{index}]", _state(waiver, today, excuses=True)
        if state == "applied":
            yield from _lapse(rule, waiver, today)
        else:
            yield _warning(rule, waiver, state, "")


def _locked(judgements: Sequence[Judgement], policy: Policy) -> set[int]:
    """Return the places of judgements that no waiver may excuse.

    A required check that is not waivable locks what rules a and d say of it too: its failure is that rule's failure.
    Duties of the law, and what is asked of the report as a whole, have no check that a waiver could name.
    """
    rules = set(_locked_rules(policy))
    checks = {requirement.check for requirement in policy.require if not requirement.waivable} - {None}
    return {
        place
        for place, judgement in enumerate(judgements)
        if judgement.rule in rules or (judgement.rule in ("findings", "baseline") and judgement.check in checks)
    }


def _locked_rules(policy: Policy) -> Iterator[str]:
    yield from (f"require[{index}]" for index, rule in enumerate(policy.require) if not rule.waivable)
    for index, rule in enumerate(policy.threshold):
        if not rule.waivable:
            yield from (f"threshold[{index}]", f"threshold[{index}].max_regression")


def _covers(waiver: Waiver, judgement: Judgement) -> bool:
    """Tell whether a waiver names a judgement of its check."""
    return judgement.outcome == waiver.outcome and waiver.fingerprint in (None, judgement.fingerprint)


def _misfit(waiver: Waiver, system: str, subject_sha256s: Sequence[str]) -> str:
    """Return why the waiver is not for this report, or nothing."""
    if waiver.system != system:
        return f"it is for the system {waiver.system!r}"
    if waiver.subject_sha256 not in (None, *subject_sha256s):
        return "it is for another model"
    return ""


def _state(waiver: Waiver, today: date, excuses: bool) -> State:
    if today > waiver.expires:
        return "expired"
    if today < waiver.created:
        return "not-yet"
    return "applied" if excuses else "unused"


def _lapse(rule: str, waiver: Waiver, today: date) -> Iterator[Judgement]:
    left = (waiver.expires - today).days
    if left > LAPSES_SOON:
        return
    when = f"in {counted(left, 'day')}, on {waiver.expires}" if left else f"after today, {waiver.expires}"
    message = f"Waiver {waiver.id} expires {when}; {waiver.owner} mends the fault till then, or has it approved anew."
    yield Judgement(
        rule=rule,
        check=waiver.check,
        fingerprint=waiver.fingerprint,
        outcome=Outcome.WARN,
        code="waiver.expires_soon",
        message=message,
        waiver=waiver.id,
    )


def _warning(rule: str, waiver: Waiver, state: State, why: str) -> Judgement:
    messages = {
        "expired": f"Waiver {waiver.id} expired on {waiver.expires}; mend the fault, or have it approved anew.",
        "not-yet": f"Waiver {waiver.id} does not hold before {waiver.created}.",
    }
    return Judgement(
        rule=rule,
        check=waiver.check,
        fingerprint=waiver.fingerprint,
        outcome=Outcome.WARN,
        code=f"waiver.{state.replace('-', '_')}",
        message=messages.get(state, f"Waiver {waiver.id} excuses nothing ({why}); remove it."),
        waiver=waiver.id,
    )
