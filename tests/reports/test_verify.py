"""Verification as a whole: no change goes unseen, no garbage crashes it, and it needs little to run.

What each step refuses stands in `conformance/`; here are the properties over all of them.
"""

import base64
import hashlib
import json
import os
import pickle
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports.digests import file_sha256
from reports.errors import VerificationError
from reports.trust import load_trust
from reports.verified import StepError
from reports.verify import verify
from tests.reports.conformance.world import AUDITOR, NOW, PROVIDER, RENDERED, World, sound_world

many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> World:
    return sound_world(tmp_path_factory.mktemp("verify") / "world")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return sound_world(tmp_path / "world")


def refusal(world: World) -> StepError:
    with pytest.raises(VerificationError) as refused:
        world.verify()
    assert isinstance(refused.value, StepError)
    return refused.value


def test_what_was_verified_is_said_and_no_more(world: World) -> None:
    world.call |= {"policy_sha256": "ab" * 32, "renderings": lambda report: RENDERED}
    verified = world.verify()
    assert verified.steps == tuple(range(1, 18))
    assert verified.statement.sha256 == hashlib.sha256(base64.b64decode(world.members()["payload"])).hexdigest()
    assert [(s.name, s.role, s.keyid, s.counted) for s in verified.signers] == [
        ("A. Auditor", "auditor", AUDITOR.keyid, True),
        ("P. Provider", "provider", PROVIDER.keyid, True),
    ]
    assert [(s.name, s.sha256) for s in verified.subjects] == [("model.bin", file_sha256(world.folder / "model.bin"))]
    assert (verified.evidence_files, verified.evidence_bytes, verified.withheld) == (4, 38, ())
    assert verified.trust_sha256 == file_sha256(world.folder / "trust.toml")
    assert any("back-date" in warning for warning in verified.warnings)


def test_steps_that_were_left_out_are_not_claimed(world: World) -> None:
    assert world.verify().steps == (*range(1, 15), 16)
    world.call["signature_only"] = True
    verified = world.verify()
    assert verified.steps == tuple(range(1, 14))
    assert (verified.subjects, verified.evidence_files) == ((), 0)


def test_withheld_evidence_is_listed(world: World) -> None:
    path = world.evidence("recovered digits")
    path.unlink()
    verified = world.verify()
    assert verified.withheld == (path.relative_to(world.bundle / "evidence").as_posix(),)
    assert (verified.evidence_files, verified.evidence_bytes) == (3, 32)


def test_a_signature_that_does_not_count_is_shown_with_its_reason(world: World) -> None:
    keys = [
        {"name": '"A"', "role": '"auditor"', "public_key": '"auditor.pub"'},
        {"name": '"P"', "role": '"provider"', "public_key": '"provider.pub"', "not_after": "2026-01-01T00:00:00Z"},
    ]
    world.write_trust(require={"auditor": 1}, keys=keys)
    counted, doubted = world.verify().signers
    assert (counted.counted, counted.reason) == (True, "")
    assert (doubted.counted, doubted.reason) == (False, "expired before the report was finished")


# --- no change goes unseen ------------------------------------------------------------------------------------------


@many
@given(data=st.data())
def test_any_bit_of_the_payload_counts(sound: World, data: st.DataObject) -> None:
    whole = sound.envelope.read_bytes()
    body = bytearray(base64.b64decode(json.loads(whole)["payload"]))
    bit = data.draw(st.integers(0, 8 * len(body) - 1))
    body[bit // 8] ^= 1 << bit % 8
    try:
        sound.set_envelope(payload=base64.b64encode(body).decode())
        assert refusal(sound).code == "signature.untrusted"
    finally:
        sound.envelope.write_bytes(whole)
    sound.verify()


@many
@given(data=st.data())
def test_any_byte_of_the_payload_s_text_counts(sound: World, data: st.DataObject) -> None:
    whole = sound.envelope.read_bytes()
    start = whole.index(b'"payload":"') + len(b'"payload":"')
    place = data.draw(st.integers(start, whole.index(b'"', start) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[place]))
    try:
        sound.envelope.write_bytes(whole[:place] + bytes([other]) + whole[place + 1 :])
        refusal(sound)
    finally:
        sound.envelope.write_bytes(whole)


@many
@given(data=st.data())
def test_any_bit_of_any_evidence_counts(sound: World, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(p for p in (sound.bundle / "evidence").rglob("*") if p.is_file())))
    whole = path.read_bytes()
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    changed = bytearray(whole)
    changed[bit // 8] ^= 1 << bit % 8
    try:
        path.write_bytes(changed)
        assert refusal(sound).code == "evidence.digest"
    finally:
        path.write_bytes(whole)
    sound.verify()


@many
@given(folder=st.sampled_from(["", "evidence", "evidence/00"]), name=st.text("abc.0-", min_size=3, max_size=9))
def test_any_file_more_counts(sound: World, folder: str, name: str) -> None:
    place = sound.bundle / folder
    made = not place.exists()
    place.mkdir(exist_ok=True)
    added = place / name
    if added.exists() or name in ("..", "..."):
        return
    try:
        added.write_bytes(b"")
        assert refusal(sound).code == "evidence.unlisted"
    finally:
        added.unlink(missing_ok=True)
        if made:
            place.rmdir()


# --- no garbage crashes it ------------------------------------------------------------------------------------------


@many
@given(st.binary(max_size=200))
def test_any_envelope_is_verified_or_refused(sound: World, data: bytes) -> None:
    whole = sound.envelope.read_bytes()
    try:
        sound.envelope.write_bytes(data)
        refusal(sound)
    finally:
        sound.envelope.write_bytes(whole)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@many
@given(st.data())
def test_any_signed_statement_is_verified_or_refused(sound: World, data: st.DataObject) -> None:
    """A careless or hostile signer: somewhere in the report stands something else, and it is signed."""
    whole = sound.envelope.read_bytes()
    statement = sound.statement()
    here: object = statement
    while isinstance(here, dict | list) and here:
        parts = sorted(here) if isinstance(here, dict) else range(len(here))
        part = data.draw(st.sampled_from(list(parts)))
        parent, here = here, here[part]
        if data.draw(st.booleans()):
            break
    parent[part] = data.draw(JSON)
    body = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    try:
        sound.sign(body)
        sound.verify()
    except VerificationError:
        return
    finally:
        sound.envelope.write_bytes(whole)


def test_what_the_disk_does_not_give_is_a_refusal(world: World) -> None:
    world.call["bundle"] = world.folder / ("x" * 300)  # too long a name: an OSError, whoever asks
    assert refusal(world).code == "bundle.unreadable"


# --- what a refusal carries -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tamper", "step"),
    [
        (lambda w: w.envelope.unlink(), 2),
        (lambda w: w.envelope.write_bytes(b"["), 3),
        (lambda w: w.set_envelope(payloadType="x"), 4),
        (lambda w: w.set_envelope(payload="x"), 5),
        (lambda w: w.set_envelope(signatures=[]), 6),
        (lambda w: w.sign(b"["), 7),
        (lambda w: w.sign(b"[ ]"), 8),
        (lambda w: w.sign(b"[]"), 9),
        (lambda w: w.edit(lambda s: s.pop("subject")), 10),
        (lambda w: w.edit(lambda s: s["predicate"]["provenance"].update(root_seed=7)), 11),
        (lambda w: w.write_trust(require_timestamp="true"), 12),
        (lambda w: w.set_envelope(signatures=w.members()["signatures"][1:]), 13),
        (lambda w: w.call.update(subjects=[]), 14),
        (lambda w: w.call.update(policy_sha256="00" * 32), 15),
        (lambda w: w.evidence("a plot").unlink(), 16),
        (lambda w: w.call.update(renderings=lambda _: {"report.html": b""}), 17),
    ],
)
def test_a_refusal_knows_its_step(world: World, tamper: Callable[[World], object], step: int) -> None:
    world.verify()
    tamper(world)
    assert refusal(world).step == step


def test_all_faults_are_listed_if_asked_for(world: World) -> None:
    world.evidence("a plot").write_bytes(b"x")
    world.evidence("a figure").unlink()
    (world.bundle / "README").write_text("more")
    world.call |= {"policy_sha256": "00" * 32, "renderings": lambda _: {"report.html": b""}}
    assert [fault.code for fault in refusal(world).faults] == ["policy.not_committed"]
    world.call["all_faults"] = True
    listed = refusal(world)
    assert listed.code == "policy.not_committed"
    assert sorted(fault.code for fault in listed.faults) == [
        "evidence.missing",
        "evidence.size",
        "evidence.unlisted",
        "policy.not_committed",
        "render.mismatch",
    ]


def test_faults_before_step_15_still_end_it(world: World) -> None:
    world.evidence("a plot").unlink()
    (world.folder / "model.bin").write_bytes(b"other")
    world.call["all_faults"] = True
    assert [fault.code for fault in refusal(world).faults] == ["subject.mismatch"]


def test_a_refusal_survives_the_way_from_a_worker(world: World) -> None:
    world.evidence("a plot").unlink()
    error = refusal(world)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.code, copy.message, copy.hint, copy.step, copy.faults, copy.exit_code, str(copy)) == (
        error.code, error.message, error.hint, error.step, error.faults, error.exit_code, str(error),
    )  # fmt: skip
    plain = pickle.loads(pickle.dumps(VerificationError("a.b", "message", "hint")))
    assert (plain.code, plain.message, plain.hint) == ("a.b", "message", "hint")


# --- what it costs --------------------------------------------------------------------------------------------------

HEAVY = ("torch", "opacus", "scipy", "sklearn", "numpy", "joblib", "jinja2", "rich", "httpx", "transformers", "ray")


def test_verifying_imports_nothing_heavy(world: World) -> None:
    program = (
        "import sys; from datetime import datetime; from pathlib import Path\n"
        "from reports.trust import load_trust; from reports.verify import verify\n"
        "world, now = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2])\n"
        "verify(world / 'bundle', load_trust(world / 'trust.toml'), [world / 'model.bin'], now)\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(world.folder), NOW.isoformat()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_large_file_of_evidence_is_never_in_memory(world: World) -> None:
    """Streamed: 64 MiB of evidence, a peak far below."""
    path = world.evidence("a plot")
    os.truncate(path, 64 * 2**20)
    digest = file_sha256(path)
    place = world.bundle / "evidence" / digest[:2] / digest
    place.parent.mkdir(exist_ok=True)
    path.rename(place)
    path.parent.rmdir()

    def relist(statement: dict[str, object]) -> None:
        predicate = statement["predicate"]
        assert isinstance(predicate, dict)
        for piece in predicate["evidence"]:
            if piece["name"] == "a plot":
                piece |= {"sha256": digest, "path": f"{digest[:2]}/{digest}", "size": 64 * 2**20}
        predicate["evidence"].sort(key=lambda piece: piece["sha256"])
        predicate["findings"][1]["evidence"] = []

    world.edit(relist)
    tracemalloc.start()
    try:
        assert refusal(world).code == "evidence.root"  # the last thing that step 16 asks: the file was hashed
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_the_clock_is_a_parameter(world: World) -> None:
    trust = load_trust(world.folder / "trust.toml")
    later = datetime.fromisoformat("2030-01-01T00:00:00+00:00")
    with pytest.raises(VerificationError, match="days old"):
        verify(world.bundle, trust, [world.folder / "model.bin"], later)
    verify(world.bundle, trust, [world.folder / "model.bin"], NOW)
