"""`report.*`: fixed beforehand, answered for, and following what went before; each with the case that must not pass."""

import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reports.canonical import canonical_json
from reports.check import Check, Context, Options, missing
from reports.checks import lineage, responsible_person, thresholds_committed
from reports.errors import VerificationError
from reports.model import Auditor, Basis, Effort, Finding, Status, Strength, System
from reports.policy import load_policy, policy_bytes, policy_digest
from tests.reports.authority import TSA
from tests.reports.conformance.world import FINISHED, NOW, POLICY_SHA256, STRANGER, World, sound_world
from tests.reports.openssl_authority import STAMPER, OpensslAuthority
from tests.reports.test_context import Shelf
from tests.reports.test_stamped import TRUST as TRUSTED_AUTHORITY

OTHER_POLICY = "cd" * 32


@pytest.fixture
def world(tmp_path: Path) -> World:
    return sound_world(tmp_path / "earlier")


def system(**fields: Any) -> System:
    source = {"path": "system.toml", "sha256": "0" * 64, "size": 1, "kind": "source"}
    return System.model_validate({"name": "ward", "version": "1", "source": source} | fields)


def ask(check: Check, options: Options, *, of: System | None = None, now: Any = NOW) -> Finding:
    asked = of or system()
    context = Context(
        check=check,
        system=asked,
        seed=1,
        effort=Effort.SMOKE,
        folder=Path(),
        now=now,
        store=Shelf(),
        options=options,
    )
    [finding] = check.ask(asked, context)
    return finding


def committed(**more: Any) -> Options:
    return replace(Options(policy_sha256=POLICY_SHA256, policy_recorded_first=True), **more)


def test_a_policy_that_the_run_recorded_first_is_a_documents_word() -> None:
    finding = ask(thresholds_committed, committed())
    assert (finding.status, finding.strength, finding.basis) == (Status.PASS, Strength.DOCUMENT, Basis.DECLARED)
    assert any("in secret" in limitation for limitation in finding.limitations)


def test_a_policy_that_no_record_puts_before_the_trials_is_no_pass() -> None:
    finding = ask(thresholds_committed, committed(policy_recorded_first=False))
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "not-recorded")


def test_an_earlier_report_with_a_trusted_signature_makes_the_proof_exact(world: World) -> None:
    trust = world.folder / "trust.toml"
    finding = ask(thresholds_committed, committed(previous=world.bundle, trust=trust))
    assert (finding.status, finding.strength, finding.basis) == (Status.PASS, Strength.EXACT, Basis.RECORDED)
    assert "A. Auditor" in finding.summary


def test_a_report_of_the_very_moment_of_the_run_was_not_there_before(world: World) -> None:
    options = committed(previous=world.bundle, trust=world.folder / "trust.toml")
    before = ask(thresholds_committed, options, now=FINISHED + timedelta(seconds=1))
    assert before.strength is Strength.EXACT
    assert any("own word" in limitation for limitation in before.limitations)  # nobody time-stamped it
    finding = ask(thresholds_committed, options, now=FINISHED)
    assert (finding.status, finding.strength) == (Status.PASS, Strength.DOCUMENT)


@pytest.mark.parametrize(
    ("name", "office"), [(" ", "Office"), ("A. Auditor", "\u00a0"), (".", "Office"), ("\u200b", "-")]
)
def test_a_name_without_a_letter_names_nobody(name: str, office: str) -> None:
    named = Auditor(name="A. Auditor", organisation="Office")
    assert ask(responsible_person, Options(auditor=named)).status is Status.PASS
    blank = Options(auditor=Auditor(name=name, organisation=office))
    assert ask(responsible_person, blank).status is Status.SKIPPED


def test_an_earlier_report_whose_signature_nobody_verified_proves_no_more_than_the_run_itself(world: World) -> None:
    finding = ask(thresholds_committed, committed(previous=world.bundle))
    assert (finding.status, finding.strength) == (Status.PASS, Strength.DOCUMENT)
    assert any("not verified" in limitation for limitation in finding.limitations)


@pytest.mark.parametrize("trusted", [True, False])
def test_thresholds_that_moved_after_results_on_this_version_were_seen_are_not_beforehand(
    world: World, trusted: bool
) -> None:
    trust = world.folder / "trust.toml" if trusted else None
    finding = ask(thresholds_committed, committed(policy_sha256=OTHER_POLICY, previous=world.bundle, trust=trust))
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "policy-changed")


def test_an_earlier_report_that_committed_to_nothing_leaves_it_open(world: World) -> None:
    world.edit(lambda statement: statement["predicate"]["provenance"].update(policy_sha256=None, seed_source="chosen"))
    finding = ask(thresholds_committed, committed(previous=world.bundle))
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "policy-changed")


def test_a_new_version_may_be_judged_by_a_new_policy(world: World) -> None:
    options = committed(policy_sha256=OTHER_POLICY, previous=world.bundle, trust=world.folder / "trust.toml")
    finding = ask(thresholds_committed, options, of=system(version="2"))
    assert (finding.status, finding.strength) == (Status.PASS, Strength.DOCUMENT)


def test_a_report_of_later_holds_no_thresholds_of_before(world: World) -> None:
    finding = ask(thresholds_committed, committed(previous=world.bundle), now=NOW - timedelta(days=30))
    assert (finding.status, finding.strength) == (Status.PASS, Strength.DOCUMENT)


def test_a_stranger_who_signed_the_earlier_report_vouches_for_nothing(world: World) -> None:
    trust = world.folder / "trust.toml"
    assert ask(lineage, committed(previous=world.bundle, trust=trust)).status is Status.PASS
    world.sign(canonical_json(world.statement()), STRANGER)
    with pytest.raises(VerificationError, match="none of the 1 signatures"):
        ask(lineage, committed(previous=world.bundle, trust=trust))


def test_the_age_of_the_earlier_report_is_no_objection(world: World) -> None:
    trust = world.folder / "trust.toml"
    late = NOW + timedelta(days=400)
    assert ask(lineage, committed(previous=world.bundle, trust=trust), now=late).status is Status.PASS


POLICY = 'version = 1\nname = "ward"\nfail_on = "high"\n'


def stamped(folder: Path, reply: Callable[[bytes], bytes], *, trust: bool = True, digest: str = "") -> Finding:
    """What is answered under a policy with that reply beside it."""
    (folder / "policy.toml").write_text(POLICY)
    policy = load_policy(folder / "policy.toml")
    (folder / "policy.toml.tsr").write_bytes(reply(policy_bytes(policy)))
    (folder / "tsa.pem").write_bytes(TSA.pem)
    (folder / "trust.toml").write_text(TRUSTED_AUTHORITY)
    more = {"policy": folder / "policy.toml", "policy_sha256": digest or policy_digest(policy)}
    return ask(thresholds_committed, committed(**more, trust=folder / "trust.toml" if trust else None))


def test_a_time_stamp_beside_the_policy_makes_the_proof_exact(tmp_path: Path) -> None:
    finding = stamped(tmp_path, lambda content: TSA.reply(content, NOW - timedelta(seconds=1)))
    assert (finding.status, finding.strength, finding.basis) == (Status.PASS, Strength.EXACT, Basis.RECORDED)
    assert len(finding.evidence) == 1


@pytest.mark.parametrize(
    ("reply", "more"),
    [
        (lambda content: TSA.reply(content, NOW), {}),
        (lambda content: TSA.reply(content + b" ", NOW - timedelta(1)), {}),
        (lambda content: TSA.reply(content, NOW - timedelta(1), signing_scalar=99), {}),
        (lambda content: TSA.reply(content, NOW - timedelta(1)), {"trust": False}),
        (lambda content: TSA.reply(content, NOW - timedelta(1)), {"digest": OTHER_POLICY}),
    ],
    ids=["of the run's own moment", "of other bytes", "forged", "of an authority nobody listed", "of another policy"],
)
def test_a_time_stamp_that_proves_nothing_leaves_a_documents_word(
    tmp_path: Path, reply: Callable[[bytes], bytes], more: dict[str, Any]
) -> None:
    finding = stamped(tmp_path, reply, **more)
    assert (finding.status, finding.strength, finding.basis) == (Status.PASS, Strength.DOCUMENT, Basis.DECLARED)
    assert finding.evidence == ()


def test_openssl_stamps_a_policy_by_its_digest(tmp_path: Path) -> None:
    def by_openssl(content: bytes) -> bytes:
        digest = hashlib.sha256(content).hexdigest()
        query = tmp_path / "policy.tsq"
        command = ["openssl", "ts", "-query", "-digest", digest, "-sha256", "-out", str(query)]
        subprocess.run(command, check=True, capture_output=True)
        (tmp_path / "tsa").mkdir()
        return OpensslAuthority(tmp_path / "tsa").reply(query.read_bytes())

    stamped(tmp_path, by_openssl)
    (tmp_path / "tsa.pem").write_bytes(STAMPER.pem)
    policy = load_policy(tmp_path / "policy.toml")
    more = {"policy": tmp_path / "policy.toml", "policy_sha256": policy_digest(policy)}
    later = datetime.now(UTC) + timedelta(days=1)
    finding = ask(thresholds_committed, committed(**more, trust=tmp_path / "trust.toml"), now=later)
    assert (finding.status, finding.strength) == (Status.PASS, Strength.EXACT)


def test_without_a_policy_and_a_previous_report_nothing_is_asked() -> None:
    assert missing(thresholds_committed, system()) == ("run:policy",)
    assert missing(lineage, system()) == ("run:previous",)
    assert not missing(lineage, system(), {"run:previous"})


def test_a_person_answers_by_name_and_organisation() -> None:
    named = Auditor(name="A. Auditor", organisation="Audit Office", independence="external")
    finding = ask(responsible_person, Options(auditor=named))
    assert (finding.status, finding.strength) == (Status.PASS, Strength.DOCUMENT)
    assert finding.summary == "A. Auditor, Audit Office, external, answers for this test."


@pytest.mark.parametrize(("auditor", "lacking"), [(None, "--auditor"), (Auditor(name="A. Auditor"), "--organisation")])
def test_half_a_name_is_none(auditor: Auditor | None, lacking: str) -> None:
    finding = ask(responsible_person, Options(auditor=auditor))
    assert (finding.status, finding.reason) == (Status.SKIPPED, f"missing:{lacking}")


def test_a_report_follows_the_earlier_one_of_its_system(world: World) -> None:
    finding = ask(lineage, Options(previous=world.bundle), of=system(version="2"))
    assert (finding.status, finding.strength, finding.basis) == (Status.PASS, Strength.DOCUMENT, Basis.DECLARED)
    assert "version 1, now 2" in finding.summary
    trusted = ask(lineage, Options(previous=world.bundle, trust=world.folder / "trust.toml"))
    assert (trusted.strength, trusted.basis) == (Strength.EXACT, Basis.RECORDED)


def test_the_report_of_another_system_is_followed_by_none(world: World) -> None:
    finding = ask(lineage, Options(previous=world.bundle), of=system(name="clinic"))
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "other-system")


def test_a_newer_report_is_not_followed(world: World) -> None:
    finding = ask(lineage, Options(previous=world.bundle), now=NOW - timedelta(days=30))
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "newer")


def test_the_earlier_report_is_read_once_for_all_checks(world: World) -> None:
    shared: dict[str, object] = {}
    options = committed(previous=world.bundle)
    for check in (lineage, thresholds_committed):
        context = Context(
            check=check, system=system(), seed=1, effort=Effort.SMOKE, folder=Path(), now=NOW, store=Shelf(),
            options=options, shared=shared,
        )  # fmt: skip
        list(check.ask(system(), context))
    assert list(shared) == ["report.previous"]
