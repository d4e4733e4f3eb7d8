"""The controls table: levels, ceilings, polarity, missing kinds, staleness and next steps."""

import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.catalogue import load_catalogue
from compliance.evidence import LEVELS, about_another_model, control_rows, coverage
from compliance.next_step import PERSON
from reports.model import Basis, ControlRow, ErasureRequest, Finding, Model, Remedy, Severity, Status, Strength, System
from tests.compliance.audited import artifact, finding, system

CATALOGUE = load_catalogue("2026-07-27")
ON = date(2028, 1, 1)
LEAKS = "EU-AIA:15(5)#confidentiality"
TESTING = "EU-AIA:9(6)"
KINDS = {
    "attack.linear": ("reconstruction",),
    "attack.membership": ("membership",),
    "dp.accounting": ("dp",),
    "secagg.transcript": ("secagg",),
    "unlearning.federated.replay": ("unlearning",),
    "compliance.documents": ("document",),
}
ALL_KINDS = ("attack.linear", "attack.membership", "dp.accounting", "secagg.transcript")


def row(control: str, findings: Iterable[Finding], declared: System | None = None) -> ControlRow:
    alone = replace(CATALOGUE, controls=(CATALOGUE.get(control),))  # of 140 rows one is looked at
    [found] = control_rows(findings, KINDS, alone, ON, system=declared or system())
    return found


def leak(check: str, status: Status = Status.PASS, **given: object) -> Finding:
    return finding(check, status, controls=(LEAKS, TESTING), **given)


def test_every_control_of_the_version_has_one_row_in_its_own_words() -> None:
    rows = control_rows((), KINDS, CATALOGUE, ON, system=system())
    assert [one.control for one in rows] == [control.id for control in CATALOGUE.controls]
    assert [one.title for one in rows] == [control.text for control in CATALOGUE.controls]
    assert {one.state for one in rows} == {"not-assessed"}
    assert all(one.support is None and one.findings == () for one in rows)


def test_four_kinds_together_reach_direct() -> None:
    found = row(LEAKS, [leak(check) for check in ALL_KINDS])
    assert (found.state, found.support, found.missing) == ("supported", "direct", ())
    assert found.strength is Strength.STATISTICAL


@pytest.mark.parametrize("left_out", ALL_KINDS)
def test_one_missing_kind_keeps_a_row_below_direct(left_out: str) -> None:
    found = row(LEAKS, [leak(check) for check in ALL_KINDS if check != left_out])
    assert (found.state, found.support) == ("supported", "partial")
    assert found.missing == KINDS[left_out]


def test_a_missing_document_holds_nothing_down() -> None:
    leaks = CATALOGUE.get(LEAKS)
    told = replace(leaks, evidence_kinds=(*leaks.evidence_kinds, "document"))  # no duty of the catalogue has it so
    findings = [leak(check) for check in ALL_KINDS]
    [found] = control_rows(findings, KINDS, replace(CATALOGUE, controls=(told,)), ON, system=system())
    assert (found.state, found.support, found.missing) == ("supported", "direct", ("document",))


def test_a_declaration_carries_no_further_than_a_document_and_brings_no_kind() -> None:
    declared = leak("dp.accounting", strength=Strength.EXACT, basis=Basis.DECLARED)
    found = row(LEAKS, [leak(check) for check in ALL_KINDS if check != "dp.accounting"] + [declared])
    assert (found.support, found.missing) == ("partial", ("dp",))
    assert row(LEAKS, [declared]).support == "document"
    assert found.next_step == "The provider gives more than a declaration or a document for dp."


def test_screening_alone_carries_partially() -> None:
    assert row(LEAKS, [leak(check, strength=Strength.SCREENING) for check in ALL_KINDS]).support == "partial"


@pytest.mark.parametrize(
    ("statuses", "strength", "state"),
    [
        ((Status.FAIL, Status.PASS, Status.INCONCLUSIVE), Strength.STATISTICAL, "contradicted"),
        ((Status.PASS, Status.INCONCLUSIVE), Strength.SCREENING, "insufficient"),
        ((Status.PASS, Status.ERROR), Strength.EXACT, "insufficient"),
        ((Status.PASS, Status.INCONCLUSIVE), Strength.DOCUMENT, "supported"),
        ((Status.INCONCLUSIVE,), Strength.DOCUMENT, "insufficient"),
        ((Status.SKIPPED,), Strength.EXACT, "not-assessed"),
        ((), Strength.EXACT, "not-assessed"),
    ],
)
def test_the_first_rule_that_holds_gives_the_state(statuses: Sequence[Status], strength: Strength, state: str) -> None:
    checks = ("attack.linear", "attack.membership", "dp.accounting")
    found = [
        leak(check, status, strength=strength if status is not Status.PASS else Strength.EXACT)
        for check, status in zip(checks, statuses, strict=False)
    ]
    assert row(LEAKS, found).state == state


def test_a_failed_attack_never_contradicts_a_duty_to_test() -> None:
    duties = [control for control in CATALOGUE.controls if control.polarity == "activity"]
    assert len(duties) == 7
    for control in duties:
        failed = finding("attack.linear", Status.FAIL, controls=(control.id,))
        assert row(control.id, [failed]).state == "supported", control.id


def test_documents_alone_never_carry_above_a_document() -> None:
    for control in CATALOGUE.controls:
        said = finding("compliance.documents", strength=Strength.DOCUMENT, controls=(control.id,))
        assert row(control.id, [said]).support in ("document", "attestation"), control.id


def test_no_row_rises_above_its_ceiling() -> None:
    every = [
        finding(check, strength=Strength.EXACT, controls=tuple(control.id for control in CATALOGUE.controls))
        for check in KINDS
    ]
    for found in control_rows(every, KINDS, CATALOGUE, ON, system=system()):
        assert found.support is not None
        assert LEVELS.index(found.support) <= LEVELS.index(found.ceiling)


def test_what_a_person_must_vouch_for_is_never_supported_nor_contradicted() -> None:
    vouched = next(control for control in CATALOGUE.controls if control.ceiling == "attestation")
    for status in (Status.PASS, Status.FAIL, Status.INCONCLUSIVE):
        found = row(vouched.id, [finding("integrity.artifacts", status, controls=(vouched.id,))])
        assert (found.state, found.support) == ("insufficient", "attestation")
        assert "vouches" in found.next_step
    assert row(vouched.id, []).state == "not-assessed"


FINDINGS = st.lists(
    st.builds(
        lambda check, status, strength, basis: leak(check, status, strength=strength, basis=basis),
        st.sampled_from(ALL_KINDS),
        st.sampled_from(Status),
        st.sampled_from(Strength),
        st.sampled_from(Basis),
    ),
    max_size=5,
)


@given(FINDINGS, st.sampled_from(Strength))
def test_a_further_fail_never_helps(found: list[Finding], strength: Strength) -> None:
    fail = leak("attack.linear", Status.FAIL, strength=strength, key="another")
    before, after = row(LEAKS, found), row(LEAKS, [*found, fail])
    assert after.state == "contradicted"
    assert before.state != "contradicted" or after.state == "contradicted"


@given(FINDINGS)
def test_a_row_rests_on_the_findings_that_were_asked_in_any_order(found: list[Finding]) -> None:
    there, back = row(LEAKS, found), row(LEAKS, found[::-1])
    assert (there.state, there.support, there.missing) == (back.state, back.support, back.missing)
    assert len(there.findings) == sum(one.status is not Status.SKIPPED for one in found)


def test_a_finding_counts_for_what_lies_below_the_paragraph_it_names() -> None:
    found = control_rows([finding("attack.linear", controls=("EU-AIA:14",))], KINDS, CATALOGUE, ON, system=system())
    assert {one.control for one in found if one.findings} == {c.id for c in CATALOGUE.resolve("EU-AIA:14")}


def test_a_finding_counts_for_the_aspect_it_names_and_for_no_other() -> None:
    rows = control_rows([leak("attack.linear")], KINDS, CATALOGUE, ON, system=system())
    assert {one.control for one in rows if one.findings} == {LEAKS, TESTING}


def test_a_control_s_own_id_means_that_duty_alone() -> None:
    found = control_rows([finding("secagg.dropout", controls=("EU-AIA:15(4)",))], KINDS, CATALOGUE, ON, system=system())
    assert {one.control for one in found if one.findings} == {"EU-AIA:15(4)"}  # nothing on continued learning


def test_a_law_that_is_not_in_the_catalogue_counts_for_nothing() -> None:
    alien = finding("attack.linear", controls=("ISO-42001:6.1", "not a citation", "EU-AIA:999(1)"))
    rows = control_rows([alien], KINDS, CATALOGUE, ON, system=system())
    assert not any(one.findings for one in rows)


def test_an_undeclared_condition_never_reads_applies() -> None:
    conditional = {control.id for control in CATALOGUE.controls if control.condition}
    rows = control_rows((), KINDS, CATALOGUE, ON, system=system(roles=tuple(PERSON)))
    asked = [one for one in rows if one.control in conditional]
    assert asked
    assert all(one.applicability != "applies" for one in asked)
    unknown = next(one for one in asked if one.applicability == "condition_unknown")
    assert "[system] conditions" in unknown.next_step


def erased(after: str) -> System:
    request = ErasureRequest(id="r1", kind="client", after=artifact(after))
    return system(
        model=Model(checkpoint=artifact("deployed.safetensors")),
        unlearning=(request,),
        roles=("provider", "controller"),
    )


def test_an_erasure_of_another_model_supports_nothing_and_is_said_to_be_stale() -> None:
    found = finding("unlearning.federated.replay", key="unlearning=r1", controls=("GDPR:17(1)",))
    fresh, stale = erased("deployed.safetensors"), erased("elsewhere.safetensors")
    assert not about_another_model(found, fresh)
    assert about_another_model(found, stale)
    assert row("GDPR:17(1)", [found], fresh).state == "supported"
    assert row("GDPR:17(1)", [found], stale).state == "insufficient"
    assert "model under review" in row("GDPR:17(1)", [found], stale).next_step
    failed = found.model_copy(update={"status": Status.FAIL})
    assert row("GDPR:17(1)", [failed], stale).state == "contradicted"


def test_every_row_says_who_acts_and_never_decides() -> None:
    found = [leak(check, status) for check, status in zip(ALL_KINDS, Status, strict=False)]
    for one in control_rows(found, KINDS, CATALOGUE, ON, system=system(roles=tuple(PERSON))):
        assert re.match(r"(The (auditor|provider|deployer|controller)|Nobody) ", one.next_step), one.next_step
        assert not re.search(r"complian|certif|conform", re.sub(r"compliance\.\w+", "", one.next_step), re.IGNORECASE)


def test_a_contradicted_row_names_what_failed() -> None:
    found = row(LEAKS, [leak("attack.linear", Status.FAIL, severity=Severity.HIGH)])
    assert found.next_step == "The provider mends what failed (attack.linear), and the auditor asks again."


def test_a_remedy_says_what_to_do_about_what_failed_or_stayed_open() -> None:
    mend = Remedy(parameter="federation.rounds", direction="lower", text="Train fewer rounds.")
    mild = leak("attack.linear", Status.FAIL, severity=Severity.LOW, remedy=mend.model_copy(update={"text": "Wait."}))
    grave = leak("attack.membership", Status.FAIL, severity=Severity.HIGH, remedy=mend)
    words = "The provider mends what failed (attack.linear, attack.membership): Train fewer rounds. "
    assert row(LEAKS, [mild, grave]).next_step == f"{words}Then the auditor asks again."
    open_ = leak("dp.accounting", Status.INCONCLUSIVE, remedy=mend)
    words = "The provider gives what was lacking (dp.accounting): Train fewer rounds. "
    assert row(LEAKS, [open_]).next_step == f"{words}Then the auditor asks again."
    assert row(LEAKS, [leak("dp.accounting", Status.ERROR)]).next_step == (
        "The auditor asks again what stayed undecided (dp.accounting)."
    )


def test_coverage_counts_every_row_once_by_state_and_applicability() -> None:
    rows = control_rows([leak("attack.linear")], KINDS, CATALOGUE, ON, system=system())
    counted = coverage(rows)
    assert counted.count() == len(rows)
    assert counted.count("supported") == 2
    pairs = [(one.state, one.applicability) for one in rows]
    assert dict(counted.cells) == {pair: pairs.count(pair) for pair in pairs}
    assert len({applicability for _, applicability in counted.cells}) > 2


def test_rows_and_claims_are_read_without_a_numerical_library_and_without_httpx() -> None:
    modules = (
        "compliance.evidence, compliance.claims, compliance.claims_compared, compliance.progress, compliance.thresholds"
    )
    script = f"import sys, {modules}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"numpy", "scipy", "torch", "httpx", "openpyxl", "pypdf"} & set(done.stdout.split())
