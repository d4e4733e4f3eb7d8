"""When a duty applies: the days of Arts. 111 and 113 in both versions of the law, the day before each and the day."""

from datetime import date, timedelta
from typing import Any

import pytest

from compliance.catalogue import all_controls, applicability_of, load_catalogue
from compliance.timeline import STATES, Annex, Applicability, applicability
from tests.compliance.audited import system

OLD, NEW = "2024", "2026-07-27"
TIMELINE = load_catalogue(NEW).timeline
CONTROLS = {control.id: control for control in all_controls()}


def ask(control: str, on: str, version: str = NEW, **given: object) -> Applicability:
    return applicability(
        CONTROLS[control],
        date.fromisoformat(on),
        timeline=TIMELINE,
        law_version=version,
        **given,  # type: ignore[arg-type]
    )


def day_before(day: str) -> str:
    return str(date.fromisoformat(day) - timedelta(days=1))


@pytest.mark.parametrize(
    ("control", "day", "annex", "version", "article"),
    [
        ("EU-AIA:15(5)", "2026-08-02", "III", OLD, "EU-AIA:113"),
        ("EU-AIA:15(5)", "2027-08-02", "I", OLD, "EU-AIA:113"),
        ("EU-AIA:15(5)", "2026-08-02", None, OLD, "EU-AIA:113"),
        ("EU-AIA:15(5)", "2027-12-02", "III", NEW, "EU-AIA:113"),
        ("EU-AIA:15(5)", "2028-08-02", "I", NEW, "EU-AIA:113"),
        ("EU-AIA:15(5)", "2027-12-02", None, NEW, "EU-AIA:113"),
        ("EU-AIA:annex-IV(2)(g)", "2027-12-02", "III", NEW, "EU-AIA:113"),
        ("EU-AIA:50(1)", "2026-08-02", "III", OLD, "EU-AIA:113"),
        ("EU-AIA:50(1)", "2026-08-02", "I", NEW, "EU-AIA:113"),
        ("EU-AIA:53(1)(a)", "2025-08-02", None, OLD, "EU-AIA:113"),
        ("EU-AIA:53(1)(a)", "2025-08-02", "III", NEW, "EU-AIA:113"),
        ("EU-AIA:4#provider", "2025-02-02", None, OLD, "EU-AIA:113"),
        ("EU-AIA:4(1)#deployer", "2025-02-02", None, NEW, "EU-AIA:113"),
        ("GDPR:32(1)(d)", "2018-05-25", None, OLD, "GDPR:99(2)"),
        ("GDPR:32(1)(d)", "2018-05-25", "I", NEW, "GDPR:99(2)"),
    ],
)
def test_a_duty_applies_from_its_day_and_not_the_day_before(
    control: str, day: str, annex: Annex | None, version: str, article: str
) -> None:
    given = {"annex": annex, "conditions": ("personal-data",)}
    before, on = ask(control, day_before(day), version, **given), ask(control, day, version, **given)
    assert (before.state, on.state) == ("not_yet", "applies")
    assert before.from_ == on.from_ == date.fromisoformat(day)
    for found in (before, on):
        assert article in found.reason and control in found.reason and CONTROLS[control].role in found.reason


@pytest.mark.parametrize(
    ("control", "version", "annex", "placed", "conditions", "still", "no_longer", "article"),
    [
        # Art. 111(3): general-purpose models on the market before 2025-08-02 have two years
        ("EU-AIA:53(1)(a)", NEW, None, "2025-08-01", (), "2027-08-01", "2027-08-02", "EU-AIA:111(3)"),
        ("EU-AIA:53(1)(a)", OLD, None, "2025-08-01", (), "2027-08-01", "2027-08-02", "EU-AIA:111(3)"),
        # Art. 111(4), since the amendment: marking of generated content
        ("EU-AIA:50(2)", NEW, None, "2026-08-01", ("generates-content",), "2026-12-01", "2026-12-02", "EU-AIA:111(4)"),
        # Art. 111(2): high-risk systems for public authorities
        ("EU-AIA:15(5)", NEW, "III", "2027-12-01", ("public-authority",), "2030-08-01", "2030-08-02", "EU-AIA:111(2)"),
        ("EU-AIA:15(5)", NEW, "I", "2028-08-01", ("public-authority",), "2030-08-01", "2030-08-02", "EU-AIA:111(2)"),
        ("EU-AIA:15(5)", OLD, "I", "2026-08-01", ("public-authority",), "2030-08-01", "2030-08-02", "EU-AIA:111(2)"),
        ("EU-AIA:43(4)", NEW, "III", "2027-12-01", ("public-authority",), "2030-08-01", "2030-08-02", "EU-AIA:111(2)"),
    ],
)
def test_an_old_system_has_time_until_its_day(
    control: str,
    version: str,
    annex: Annex | None,
    placed: str,
    conditions: tuple[str, ...],
    still: str,
    no_longer: str,
    article: str,
) -> None:
    given = {"annex": annex, "placed_on_market": date.fromisoformat(placed), "conditions": conditions}
    waiting, over = ask(control, still, version, **given), ask(control, no_longer, version, **given)
    assert (waiting.state, over.state) == ("transitional", "applies")
    assert article in waiting.reason
    a_day_later = {**given, "placed_on_market": date.fromisoformat(placed) + timedelta(days=1)}
    assert ask(control, still, version, **a_day_later).state == "applies"


@pytest.mark.parametrize(
    ("version", "annex", "cut_off"),
    [
        (OLD, "III", "2026-08-02"),
        (OLD, "I", "2026-08-02"),
        (NEW, "III", "2027-12-02"),
        (NEW, "I", "2028-08-02"),
        (NEW, None, "2027-12-02"),
    ],
)
def test_an_old_high_risk_system_is_covered_only_once_its_design_changes(
    version: str, annex: Annex, cut_off: str
) -> None:
    old, new = date.fromisoformat(day_before(cut_off)), date.fromisoformat(cut_off)
    found = ask("EU-AIA:9(1)", "2045-01-01", version, annex=annex, placed_on_market=old)
    assert found.state == "transitional"
    assert "EU-AIA:111(2)" in found.reason and "design" in found.reason
    assert ask("EU-AIA:9(1)", "2045-01-01", version, annex=annex, placed_on_market=new).state == "applies"


def test_marking_generated_content_had_no_delay_in_the_text_of_2024() -> None:
    given = {"conditions": ("generates-content",), "placed_on_market": date(2026, 8, 1)}
    assert ask("EU-AIA:50(2)", "2026-08-02", OLD, **given).state == "applies"


@pytest.mark.parametrize(("annex", "high_risk"), [("III", "2027-12-02"), ("I", "2028-08-02")])
def test_a_formal_duty_waits_for_the_high_risk_duties(annex: Annex, high_risk: str) -> None:
    before = ask("EU-AIA:47(1)", day_before(high_risk), annex=annex, placed_on_market=date(2026, 1, 1))
    assert (before.state, before.from_) == ("with_high_risk", date(2026, 8, 2))
    assert high_risk in before.reason and "inferred" in before.reason
    assert ask("EU-AIA:47(1)", high_risk, annex=annex).state == "applies"
    assert ask("EU-AIA:47(1)", "2026-08-01", annex=annex).state == "not_yet"


def test_without_an_annex_both_days_are_given_and_the_earlier_decides() -> None:
    found = ask("EU-AIA:15(5)", "2028-01-01")
    assert dict(found.dates) == {"annex_iii": date(2027, 12, 2), "annex_i": date(2028, 8, 2)}
    assert found.state == "applies" and "2028-08-02" in found.reason
    assert ask("EU-AIA:15(5)", "2028-01-01", annex="I").state == "not_yet"


def test_each_version_holds_its_own_duties() -> None:
    assert ask("EU-AIA:10(5)", "2026-07-26", OLD).state != "not_in_version"
    assert ask("EU-AIA:10(5)", "2026-07-27", OLD).state == "repealed"
    assert "EU-AIA:4a(1)" in ask("EU-AIA:10(5)", "2026-07-27", OLD).reason
    assert ask("EU-AIA:10(5)", "2026-11-22", NEW).state == "not_in_version"
    assert ask("EU-AIA:4a(1)", "2026-11-22", OLD).state == "not_in_version"
    used = {"conditions": ("special-category-data",)}
    assert ask("EU-AIA:4a(1)", "2026-07-26", NEW, **used).state == "not_yet"
    assert ask("EU-AIA:4a(1)", "2026-07-27", NEW, **used).state == "applies"


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        (None, "condition_unknown"),
        ((), "condition_unknown"),
        (("personal-data",), "condition_unknown"),
        (("generates-content",), "applies"),
        (("no-generates-content",), "not_addressed"),
    ],
)
def test_an_undeclared_condition_is_unknown_and_never_applies(conditions: tuple[str, ...] | None, state: str) -> None:
    found = ask("EU-AIA:50(2)", "2027-01-01", conditions=conditions)
    assert found.state == state
    assert "generates-content" in found.reason


def test_no_duty_with_a_condition_applies_to_a_system_that_declares_none() -> None:
    catalogue = load_catalogue(NEW)
    for control in catalogue.controls:
        found = applicability_of(control, date(2031, 1, 1), catalogue, system(roles=(control.role,), conditions=()))
        assert (control.condition is None) == (found.state == "applies"), control.id


def test_a_duty_addresses_its_role_and_class() -> None:
    assert ask("EU-AIA:26(1)", "2029-01-01", roles=("provider",)).state == "not_addressed"
    assert ask("EU-AIA:26(1)", "2029-01-01", roles=("provider", "deployer")).state == "applies"
    assert ask("EU-AIA:26(1)", "2029-01-01", roles=None).state == "applies"
    assert ask("EU-AIA:9(1)", "2029-01-01", risk_class="limited").state == "not_addressed"
    assert ask("EU-AIA:47(1)", "2029-01-01", risk_class="minimal").state == "not_addressed"
    assert ask("EU-AIA:9(1)", "2029-01-01", risk_class="high-risk").state == "applies"
    assert ask("EU-AIA:50(1)", "2029-01-01", risk_class="limited").state == "applies"


def test_the_first_state_that_holds_is_the_answer() -> None:
    """Every pair of causes that can meet in one case, in the order of `STATES`."""
    denied = {"conditions": ("no-special-category-data",)}
    assert ask("EU-AIA:10(5)", "2026-11-22", OLD, **denied).state == "repealed"
    assert ask("EU-AIA:10(5)", "2020-01-01", OLD, **denied).state == "not_addressed"
    assert ask("EU-AIA:12(3)", "2020-01-01").state == "not_yet"  # before its unknown condition
    old: dict[str, Any] = {"placed_on_market": date(2020, 1, 1)}
    assert ask("EU-AIA:12(3)", "2029-01-01", **old).state == "transitional"
    assert ask("EU-AIA:50(2)", "2026-09-01", **old).state == "transitional"
    assert list(dict.fromkeys(STATES)) == list(STATES)


def test_a_system_brings_its_own_annex_market_day_roles_conditions_and_class() -> None:
    catalogue = load_catalogue(NEW)
    control, day = catalogue.get("EU-AIA:15(5)"), date(2027, 12, 2)
    assert applicability_of(control, day, catalogue, None).state == "applies"
    assert applicability_of(control, day, catalogue, system(annex_iii_area="employment")).state == "applies"
    assert applicability_of(control, day, catalogue, system(placed_on_market=date(2027, 12, 1))).state == "transitional"
    assert applicability_of(control, day, catalogue, system(roles=("deployer",))).state == "not_addressed"
    assert applicability_of(control, day, catalogue, system(risk_class="minimal")).state == "not_addressed"
