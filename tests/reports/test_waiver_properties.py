"""What holds of every waiver: it excuses on its days, what it names, and nothing else; it never makes things worse."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reports.judge import Outcome, Result, Verdict, judge
from reports.judge_waivers import LAPSES_SOON
from reports.model import Finding, Report, fingerprint
from reports.policy import Policy, Waiver

Found = Callable[..., Finding]
Reported = Callable[..., Report]
Ruled = Callable[..., Policy]
TODAY = date(2026, 11, 21)
MODEL = "a" * 64
MANY = settings(max_examples=150, deadline=None)
DAYS = st.integers(-200, 200).map(lambda days: TODAY + timedelta(days=days))


@st.composite
def waivers(draw: st.DrawFn) -> Waiver:
    created = draw(DAYS)
    lasts = draw(st.sampled_from((0, 1, 13, 14, 15, 16, 90, 180)))
    key = draw(st.sampled_from((None, "k=0", "k=1")))
    return Waiver(
        id=draw(st.sampled_from(("W-1", "W-2"))),
        check=draw(st.sampled_from(("a.b", "a.c"))),
        system=draw(st.sampled_from(("ward", "ward", "another"))),
        outcome=draw(st.sampled_from(("fail", "incomplete"))),
        reason="Retraining is scheduled for March.",
        owner="lead@example.org",
        approved_by="dpo@example.org",
        created=created,
        expires=created + timedelta(days=lasts),
        fingerprint=None if key is None else fingerprint("ward", "a.b", key),
        subject_sha256=draw(st.sampled_from((None, MODEL, "b" * 64))),
    )


def blocked(found: Found, report: Reported) -> Report:
    """A report in which a check fails, another breaks, and a third passes."""
    return report(found("a.b", "fail", key="k=0"), found("a.b", "pass", key="k=1"), found("a.c", "error"))


def judged(report: Report, policy: Policy, today: date, given_waivers: list[Waiver]) -> Verdict:
    return judge(report, policy, today, waivers=given_waivers, subject_sha256s=[MODEL])


def blocking(verdict: Verdict) -> set[tuple[str, str]]:
    return {(j.rule, j.check) for j in verdict.judgements if j.outcome in (Outcome.FAIL, Outcome.INCOMPLETE)}


@MANY
@given(one=waivers(), today=DAYS)
def test_a_waiver_excuses_exactly_what_it_names_on_its_days(
    one: Waiver, today: date, found: Found, report: Reported, policy: Ruled
) -> None:
    """The rule, written down again without looking at the judge."""
    verdict = judged(blocked(found, report), policy(), today, [one])
    names = {
        ("a.b", "fail"): one.fingerprint in (None, fingerprint("ward", "a.b", "k=0")),
        ("a.c", "incomplete"): one.fingerprint is None,
    }
    fits = one.system == "ward" and one.subject_sha256 in (None, MODEL)
    applies = one.created <= today <= one.expires and fits and names.get((one.check, one.outcome), False)
    waived = [(j.check, j.waiver) for j in verdict.judgements if j.outcome is Outcome.WAIVED]
    assert waived == ([(one.check, one.id)] if applies else [])
    state = "expired" if today > one.expires else "not-yet" if today < one.created else "unused"
    assert [w.state for w in verdict.waivers] == ["applied" if applies else state]
    soon = [j for j in verdict.judgements if j.code == "waiver.expires_soon"]
    assert len(soon) == (applies and (one.expires - today).days <= LAPSES_SOON)


@MANY
@given(held=st.lists(waivers(), max_size=3), more=waivers(), today=DAYS)
def test_one_waiver_more_never_blocks_and_one_fewer_never_frees(
    held: list[Waiver], more: Waiver, today: date, found: Found, report: Reported, policy: Ruled
) -> None:
    shown = blocked(found, report)
    fewer, all_of_them = judged(shown, policy(), today, held), judged(shown, policy(), today, [*held, more])
    assert blocking(all_of_them) <= blocking(fewer)
    assert fewer.result is not Result.PASSED or all_of_them.result is Result.PASSED


@MANY
@given(held=st.lists(waivers(), max_size=3), rule=st.sampled_from(("a.b", "a.c")), today=DAYS)
def test_what_is_not_waivable_blocks_whatever_the_waivers(
    held: list[Waiver], rule: str, today: date, found: Found, report: Reported, policy: Ruled
) -> None:
    locked = policy(require=[{"check": rule, "waivable": False}])
    verdict = judged(blocked(found, report), locked, today, held)
    assert rule in {check for _, check in blocking(verdict)}
    assert verdict.result is not Result.PASSED


@MANY
@given(held=st.lists(waivers(), max_size=3), today=DAYS, keys=st.sampled_from(({"min_effort": "full"}, {})))
def test_a_waiver_hides_no_judgement(
    held: list[Waiver], today: date, keys: dict[str, Any], found: Found, report: Reported, policy: Ruled
) -> None:
    shown = blocked(found, report)
    bare = judged(shown, policy(**keys), today, []).judgements
    with_them = judged(shown, policy(**keys), today, held).judgements[: len(bare)]
    assert [(j.rule, j.check, j.code, j.message) for j in with_them] == [
        (j.rule, j.check, j.code, j.message) for j in bare
    ]
