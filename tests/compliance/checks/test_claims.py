"""`compliance.claims`: quote and measurement side by side, for every source."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from compliance.checks.claims import claims
from compliance.claims_compared import SYSTEM_FILE, compared_claims
from compliance.documents import documents_of
from reports.check import missing
from reports.model import (
    Basis,
    Claims,
    Confidentiality,
    DifferentialPrivacy,
    ErasureRequest,
    Federation,
    Finding,
    Interval,
    Measurement,
    Model,
    Severity,
    Status,
    Strength,
    System,
)
from tests.compliance.audited import Shelf, artifact, ask, document, finding, system

DP = DifferentialPrivacy(unit="client", noise_multiplier=1.0, clipping_norm=1.0, epsilon=1.0, delta=1e-5)


def accounted(value: float, status: Status = Status.FAIL) -> Finding:
    figure = Measurement(name="epsilon_accounted", value=value, method="PRV accountant")
    return finding("dp.accounting", status, strength=Strength.EXACT, basis=Basis.DECLARED, measurements=(figure,))


def accuracy(low: float, high: float, status: Status = Status.PASS) -> Finding:
    figure = Measurement(
        name="accuracy", value=(low + high) / 2, interval=Interval(low=low, high=high, confidence=0.95), n=500,
        method="share of right answers", control=0.1,
    )  # fmt: skip
    return finding("integrity.accuracy", status, measurements=(figure,))


def answers(folder: Path, text: str, found: Iterable[Finding], **given: Any) -> dict[str, Finding]:
    kind = given.pop("kind", "technical-documentation")
    declared = system(documents=(document(folder, "td.md", text, kind),), **given)
    return {one.key: one for one in ask(claims, declared, folder, found)}


def test_a_false_epsilon_is_contradicted_with_quote_and_measurement_side_by_side(tmp_path: Path) -> None:
    text = "# Privacy\n\nTraining is private: epsilon = 1.0 for each office.\n"
    found = answers(tmp_path, text, [accounted(2.7)])["claim=epsilon source=td.md"]
    assert (found.status, found.severity, found.strength) == (Status.FAIL, Severity.HIGH, Strength.EXACT)
    assert found.basis is Basis.DECLARED
    assert found.summary == "td.md claims epsilon 1; dp.accounting answers 2.7, which contradicts it."
    assert "“Training is private: epsilon = 1.0 for each office.” (characters 11 to 62): contradicted." in found.detail
    assert "Measured by dp.accounting (fail): epsilon_accounted 2.7" in found.detail
    figures = {figure.name: figure for figure in found.measurements}
    assert (figures["epsilon_claimed"].value, figures["epsilon_accounted"].value) == (1.0, 2.7)
    assert figures["epsilon_accounted"].threshold is not None
    assert figures["epsilon_accounted"].threshold.limit == 1.0
    assert found.controls == ("EU-AIA:15(5)#confidentiality",)
    assert found.remedy is not None
    assert (found.remedy.parameter, found.remedy.value) == ("documents[0].path", None)


def test_a_true_epsilon_is_consistent(tmp_path: Path) -> None:
    found = answers(tmp_path, "Epsilon is 3.", [accounted(2.7, Status.PASS)])["claim=epsilon source=td.md"]
    assert (found.status, found.strength, found.remedy) == (Status.PASS, Strength.EXACT, None)
    assert any("names no unit of privacy" in limit for limit in found.limitations)


def test_a_hedged_twin_is_never_contradicted(tmp_path: Path) -> None:
    found = answers(tmp_path, "We aim for an epsilon of 1.", [accounted(2.7)])["claim=epsilon source=td.md"]
    assert (found.status, found.reason) == (Status.INCONCLUSIVE, "ambiguous")


def test_another_unit_of_privacy_is_not_comparable(tmp_path: Path) -> None:
    federation = Federation(differential_privacy=DP)
    text = "Every patient is protected with epsilon = 0.5."
    found = answers(tmp_path, text, [accounted(2.7)], federation=federation)["claim=epsilon source=td.md"]
    assert (found.status, found.reason) == (Status.INCONCLUSIVE, "not-comparable")


def test_epsilon_at_a_larger_delta_is_not_comparable(tmp_path: Path) -> None:
    federation = Federation(differential_privacy=DP)
    text = "The model satisfies (2.0, 1e-3)-differential privacy."
    found = answers(tmp_path, text, [accounted(2.7)], federation=federation)
    assert found["claim=epsilon source=td.md"].reason == "not-comparable"
    assert found["claim=delta source=td.md"].status is Status.FAIL  # the declaration says 1e-5
    assert found["claim=delta source=td.md"].severity is Severity.MEDIUM


def test_without_noise_a_refuted_claim_refutes_every_stronger_one(tmp_path: Path) -> None:
    claimed = Measurement(name="epsilon_claimed", value=3.0, method="as declared")
    refuted = finding("dp.accounting", Status.FAIL, strength=Strength.EXACT, measurements=(claimed,))
    assert answers(tmp_path, "Epsilon is 1.", [refuted])["claim=epsilon source=td.md"].status is Status.FAIL
    assert answers(tmp_path, "Epsilon is 8.", [refuted])["claim=epsilon source=td.md"].status is Status.INCONCLUSIVE


def test_a_statistical_pass_carries_interval_trials_and_control(tmp_path: Path) -> None:
    found = answers(tmp_path, "The accuracy is 90 %.", [accuracy(0.89, 0.95)])["claim=accuracy source=td.md"]
    assert (found.status, found.strength) == (Status.PASS, Strength.STATISTICAL)
    assert any(one.interval and one.n and one.control is not None for one in found.measurements)


def test_accuracy_of_the_instructions_for_use_bears_on_their_duty_too(tmp_path: Path) -> None:
    text, found = "The accuracy is 99 %.", [accuracy(0.89, 0.95)]
    plain = answers(tmp_path, text, found)["claim=accuracy source=td.md"]
    instructions = answers(tmp_path, text, found, kind="instructions-for-use")["claim=accuracy source=td.md"]
    assert plain.controls == ("EU-AIA:13(3)(b)(ii)",)
    assert instructions.controls == ("EU-AIA:13(3)(b)(ii)", "EU-AIA:15(3)")
    assert plain.status is Status.FAIL


def test_two_documents_that_differ_are_inconsistent_unless_a_measurement_settles_it(tmp_path: Path) -> None:
    documents = (document(tmp_path, "a.md", "Epsilon is 3."), document(tmp_path, "b.md", "Epsilon is 8."))
    declared = system(documents=documents)
    open_ = ask(claims, declared, tmp_path)
    assert [(one.key, one.status, one.severity) for one in open_] == [
        ("claim=epsilon source=a.md", Status.FAIL, Severity.MEDIUM),
        ("claim=epsilon source=b.md", Status.FAIL, Severity.MEDIUM),
    ]
    settled = ask(claims, declared, tmp_path, [accounted(2.7, Status.PASS)])
    assert [one.status for one in settled] == [Status.PASS, Status.PASS]


def test_a_document_that_differs_from_the_declaration_is_inconsistent(tmp_path: Path) -> None:
    federation = Federation(clients=24, visibility="update", differential_privacy=DP)
    text = (
        "The federation has 12 clients.\n\nThe noise multiplier is 1.0.\n\nThe server sees only the sum of all updates."
    )
    found = answers(tmp_path, text, [], federation=federation)
    assert found["claim=clients source=td.md"].status is Status.FAIL
    assert found["claim=noise_multiplier source=td.md"].status is Status.PASS
    assert found["claim=noise_multiplier source=td.md"].strength is Strength.DOCUMENT
    assert found["claim=secure_aggregation source=td.md"].status is Status.FAIL  # declared: it sees each


def test_what_the_system_file_claims_is_a_source_of_its_own(tmp_path: Path) -> None:
    declared = system(claims=Claims(epsilon=1.0, privacy_unit="client", accuracy=0.9))
    found = {one.key: one for one in ask(claims, declared, tmp_path, [accounted(2.7), accuracy(0.89, 0.95)])}
    assert found["claim=epsilon source=system.toml"].status is Status.FAIL
    assert found["claim=accuracy source=system.toml"].status is Status.PASS
    remedy = found["claim=epsilon source=system.toml"].remedy
    assert remedy is not None
    assert remedy.parameter == "claims.epsilon"


REQUESTS = tuple(
    ErasureRequest(id=name, kind="client", after=artifact(f"{name}.safetensors")) for name in ("client-7", "r2")
)


@pytest.mark.parametrize(
    ("text", "statuses", "expected"),
    [
        ("Client 7 was forgotten by the model.", (Status.FAIL, Status.PASS), "contradicted"),
        ("Client 07 was forgotten by the model.", (Status.PASS, Status.FAIL), "consistent"),
        ("Request r2 was carried out.", (Status.FAIL, Status.PASS), "consistent"),
        ("Client 9 was forgotten by the model.", (Status.FAIL, Status.FAIL), "untested"),  # nobody asked about it
        ("All erasure requests have been honoured.", (Status.FAIL, Status.FAIL), "contradicted"),
        ("All erasure requests have been honoured.", (Status.FAIL, Status.PASS), "ambiguous"),
        ("All erasure requests have been honoured.", (Status.PASS, Status.INCONCLUSIVE), "untested"),
    ],
)
def test_who_was_forgotten_is_held_against_that_request(
    tmp_path: Path, text: str, statuses: tuple[Status, Status], expected: str
) -> None:
    declared = system(documents=(document(tmp_path, "td.md", text),), unlearning=REQUESTS)
    found = [
        finding("unlearning.federated.replay", status, key=f"unlearning={request.id}")
        for request, status in zip(REQUESTS, statuses, strict=True)
    ]
    [one] = compared_claims(documents_of(declared, tmp_path), declared, found)
    assert one.state == expected


def test_an_erasure_verified_on_another_model_confirms_nothing(tmp_path: Path) -> None:
    passed = [finding("unlearning.federated.replay", key="unlearning=r2")]

    def state(deployed: str) -> str:
        declared = system(
            claims=Claims(unlearned=("r2",)), unlearning=REQUESTS, model=Model(checkpoint=artifact(deployed))
        )
        return compared_claims((), declared, passed)[0].state

    assert state("r2.safetensors") == "consistent"
    assert state("elsewhere.safetensors") == "not_contradicted"


def test_the_words_of_a_confidential_document_stay_in_confidential_evidence(tmp_path: Path) -> None:
    text = "The accuracy is 99 % for Dr Cordelia's ward."
    documents = (document(tmp_path, "td.md", text, classification="confidential"),)
    shelf = Shelf()
    [found] = ask(claims, system(documents=documents), tmp_path, [accuracy(0.89, 0.95)], shelf=shelf)
    assert "Cordelia" not in found.model_dump_json()
    [(data, confidentiality)] = [shelf.kept[digest] for digest in found.evidence]
    assert confidentiality is Confidentiality.CONFIDENTIAL
    [record] = json.loads(data)
    assert (record["quote"], record["state"], record["measured"]) == (text, "contradicted", pytest.approx(0.92))


def test_a_quote_cannot_smuggle_control_characters_into_a_report(tmp_path: Path) -> None:
    text = "The accuracy \u202eis\x07 99 %."
    found = answers(tmp_path, text, [accuracy(0.89, 0.95)])
    for one in found.values():
        assert "\u202e" not in one.model_dump_json()
        assert "\x07" not in one.detail


def test_nothing_claimed_is_skipped_and_nothing_declared_is_not_asked(tmp_path: Path) -> None:
    [found] = answers(tmp_path, "A clerk sees every digit.", []).values()
    assert (found.status, found.reason) == (Status.SKIPPED, "not-applicable:no-claims")
    assert missing(claims, system()) == ("documents|claims",)
    assert missing(claims, system(claims=Claims(accuracy=0.9))) == ()


def test_a_finding_that_was_not_asked_or_broke_tests_nothing(tmp_path: Path) -> None:
    declared: System = system(claims=Claims(accuracy=0.99))
    for status in (Status.SKIPPED, Status.ERROR, Status.INCONCLUSIVE):
        [one] = compared_claims((), declared, [accuracy(0.1, 0.2, status)])
        assert (one.state, one.document, one.finding) == ("untested", SYSTEM_FILE, None)


@pytest.mark.parametrize(("status", "told"), [(Status.FAIL, "failed, which contradicts it"), (Status.PASS, "passed")])
def test_a_summary_says_how_a_finding_without_a_figure_ended(tmp_path: Path, status: Status, told: str) -> None:
    text = "The server only ever sees the sum of the updates, by secure aggregation."
    found = answers(tmp_path, text, [finding("secagg.double-reveal", status)])
    assert f"secagg.double-reveal {told}" in found["claim=secure_aggregation source=td.md"].summary
