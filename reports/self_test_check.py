"""`report.self-test`: was the auditor, as it is installed here, shown to catch what it must and to accuse no other."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from reports.check import Context, check
from reports.model import Basis, Confidentiality, Finding, Measurement, Remedy, Severity, Status, Strength, System
from reports.self_test import MEDIA_TYPE, ReadSelfTest, SelfTest, caught, read_self_test
from reports.statistics import clopper_pearson
from reports.version import VERSION
from reports.wording import counted

DECISIVE = ("cryptography", "numpy", "opacus", "torch")
"""Packages on whose version answers may hang."""
_UNSIGNED = "The self-test is evidence as it was handed in: nobody signed it. Whoever repeats it gets the same bytes."
_METHOD = "share of flaws times seeds, taken for independent; one-sided Clopper-Pearson bounds, 95 % each"
_NAMED = 12
"""Checks that a limitation names; the others are counted."""


@check(
    "report.self-test",
    "The auditor was shown to catch planted flaws and to leave sound systems alone",
    needs=("run:selftest", "findings"),
    controls=("EU-AIA:17(1)(d)", "EU-AIA:annex-IV(2)(g)"),
    kinds=("document",),
    strength=Strength.DOCUMENT,
    severity=Severity.MEDIUM,
)
def self_test(_system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether this auditor was tried on flaws that were planted, each beside a sound twin.

    Passes when the self-test that `--selftest` names was of this very code of fedaudit, with the same versions of the
    packages that answers hang on, at no higher effort than this run, planted all that its effort and the extras
    installed there allow, and every flaw was detected, no twin accused and no case broke off. Inconclusive otherwise:
    `incomplete`, `self-test-missed`, `false-alarm`, `other-version`, `other-code`, `lower-effort`. It never fails: the
    system under review is not at fault. Checks that pass in this run and had no planted flaw to catch are named as a
    limitation. A document: who tried the auditor could have written the file. Skipped without `--selftest`.
    """
    path = ctx.options.selftest
    if path is None:
        told = "No self-test was cited."
        yield ctx.finding(Status.SKIPPED, told, severity=Severity.INFO, reason="missing:run:selftest")
        return
    read = ctx.once("report.self-test", lambda: read_self_test(path))
    kept = ctx.evidence("self-test", read.data, MEDIA_TYPE, Confidentiality.PUBLIC)
    reason, told = _objection(read.document, ctx)
    yield ctx.finding(
        Status.INCONCLUSIVE if reason else Status.PASS,
        told or _shown(read),
        basis=Basis.RECORDED,
        measurements=_measurements(read.document),
        evidence=(kept,),
        limitations=tuple(_limits(read.document, ctx)),
        remedy=_remedy(ctx) if reason else None,
        reason=reason,
    )


def _objection(said: SelfTest, ctx: Context) -> tuple[str, str]:
    """Return why the self-test shows nothing for this run, as a machine word and as a sentence; empty where it does."""
    found = said.summary
    if found.errors or not found.flaws or not said.is_whole:
        planted = "only chosen flaws were planted" if found.flaws else "no flaw was planted"
        why = f"{counted(found.errors, 'flaw')} could not be played to the end" if found.errors else planted
        return "incomplete", f"The self-test is not whole: {why}."
    if missed := [one.id for one in said.flaws if not one.detected]:
        return (
            "self-test-missed",
            f"The auditor missed {len(missed)} of {found.flaws} planted flaws, {missed[0]} among them.",
        )
    if accused := [one.id for one in said.flaws if one.false_alarm]:
        told = (
            f"The auditor accused {len(accused)} of {found.flaws} sound systems, the twin of {accused[0]} among them."
        )
        return "false-alarm", told
    if other := _other_version(said):
        return "other-version", f"The self-test was of {other}."
    if ctx.options.code_sha256 not in (None, said.code_sha256):
        return "other-code", f"The self-test was of other code of fedaudit {VERSION}, sha256 {said.code_sha256[:12]}."
    if not ctx.effort.at_least(said.effort):
        return (
            "lower-effort",
            f"The self-test was at effort {said.effort}, this run is at {ctx.effort} and may see less.",
        )
    return "", ""


def _other_version(said: SelfTest) -> str:
    """Return the first thing whose version was another one, with both; empty where there is none."""
    if said.fedaudit != VERSION:
        return f"fedaudit {said.fedaudit}, and this run is of {VERSION}"
    for name in DECISIVE:
        if (then := said.packages.get(name)) != (now := _version(name)):
            return f"{name} {then or 'not installed'}, and this run has {now or 'none'}"
    return ""


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _shown(read: ReadSelfTest) -> str:
    said = read.document
    flaws, seeds = counted(len({one.id for one in said.flaws}), "planted flaw"), counted(len(said.seeds), "seed")
    return f"Self-test {read.sha256[:12]}: all {flaws} detected, no twin accused, effort {said.effort}, {seeds}."


def _measurements(said: SelfTest) -> Iterator[Measurement]:
    found = said.summary
    yield Measurement(name="flaws", value=float(found.flaws), method="flaws times seeds")
    if found.flaws:
        for name, count in (
            ("detected", found.detected), ("false_alarms", found.false_alarms), ("undecided", found.undecided),
        ):  # fmt: skip
            bounds = clopper_pearson(count, found.flaws, side="one")
            yield Measurement(name=name, value=count / found.flaws, interval=bounds, n=found.flaws, method=_METHOD)


def _limits(said: SelfTest, ctx: Context) -> Iterator[str]:
    yield _UNSIGNED
    if ctx.effort is not said.effort:
        yield f"The self-test was at effort {said.effort}, this run is at {ctx.effort}."
    if said.left_out:
        yield f"{counted(len(said.left_out), 'flaw')} not planted: {_named([one.id for one in said.left_out])}."
    if said.summary.undecided:
        unsure = counted(said.summary.undecided, "sound system")
        yield f"On {unsure} a check that had to notice the flaw could not decide."
    shown = {check for one in said.flaws for check in caught(one.caught_by, one.expects, one.flaw, one.twin)}
    relied = {one.check for one in ctx.findings if one.status is Status.PASS}
    if untried := sorted(relied - shown):
        yield f"Passed in this run, and never shown to catch a planted flaw: {_named(untried)}."


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _remedy(ctx: Context) -> Remedy:
    text = f"Run 'fedaudit selftest --effort {ctx.effort} -o FILE' as it is installed here, and cite FILE."
    return Remedy(parameter="--selftest", direction="set", text=text)
