"""Writing a bundle: whole or not at all, evidence by its content, signatures replaced in place."""

import base64
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reports.bundle import UnreadableBundleError, add_signature, read_bundle
from reports.bundle_writer import BundleWriter
from reports.dsse import sign
from reports.errors import BundleError
from reports.evidence import evidence_root, suffix_of
from reports.merkle import inclusion_proof, verify_inclusion
from reports.model import Confidentiality
from reports.statement import declared_subjects, make_statement
from tests.reports.conformance.world import AUDITOR, PROVIDER, STRANGER, World, sound_report, sound_world

BODY = make_statement(sound_report("12" * 32), declared_subjects(sound_report("12" * 32).system)).body
INTERNAL, RESTRICTED = Confidentiality.INTERNAL, Confidentiality.RESTRICTED


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_bundle_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "out" / "bundle") as writer:
        piece = writer.put_evidence(b"{}", "application/json", INTERNAL, "a plot")
        assert names(tmp_path / "out") != ["bundle"]
        assert not (tmp_path / "out" / "bundle").exists()
        written = writer.finish(BODY, (sign(BODY, AUDITOR),), {"report.md": b"# ward"})
    assert names(tmp_path / "out") == ["bundle"]
    assert names(written) == ["evidence", "render", "report.dsse.json"]
    assert (written / "evidence" / piece.path).read_bytes() == b"{}"
    assert piece.path == f"{piece.sha256[:2]}/{piece.sha256}.json"
    bundle = read_bundle(written)
    assert bundle.statement.body == BODY
    assert bundle.envelope.signed_by(AUDITOR.public)


@pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt, SystemExit])
def test_whatever_goes_wrong_nothing_is_left(tmp_path: Path, raised: type[BaseException]) -> None:
    def begin_and_fail() -> None:
        with BundleWriter(tmp_path / "bundle") as writer:
            writer.put_evidence(b"x", "text/plain", INTERNAL, "x")
            raise raised

    with pytest.raises(raised):
        begin_and_fail()
    assert names(tmp_path) == []


def test_a_failing_disk_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File name too long"), BundleWriter(tmp_path / "bundle") as writer:
        writer.finish(BODY, (), {"x" * 300: b""})
    assert names(tmp_path) == []


def test_all_is_on_the_disk_before_the_bundle_has_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, synced, real = tmp_path / "bundle", [], os.fsync

    def noted(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, target.exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    with BundleWriter(target) as writer:
        piece = writer.put_evidence(b"x", "text/plain", INTERNAL, "x")
        writer.finish(BODY, (), {"report.md": b"#"})
    places = (target / "evidence" / piece.path, target / "render" / "report.md", target / "report.dsse.json", target)
    assert {(place.stat().st_ino, False) for place in places} <= set(synced)
    assert (tmp_path.stat().st_ino, True) in synced


def test_what_exists_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    with pytest.raises(BundleError) as refusal, BundleWriter(tmp_path / "bundle"):
        pass
    assert (refusal.value.code, refusal.value.exit_code) == ("bundle.exists", 2)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BundleError, match="exists"), BundleWriter(tmp_path / "link"):
        pass
    assert names(tmp_path) == ["bundle", "link"]


def test_what_came_to_be_there_meanwhile_is_not_touched_either(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "bundle") as writer:
        (tmp_path / "bundle").mkdir()
        with pytest.raises(BundleError, match="exists"):
            writer.finish(BODY)
    assert names(tmp_path) == ["bundle"]
    assert names(tmp_path / "bundle") == []


KILLED = """
import sys, time
from pathlib import Path
from reports.bundle_writer import BundleWriter
with BundleWriter(Path(sys.argv[1])) as writer:
    print("begun", flush=True)
    time.sleep(60)
"""


def test_a_killed_run_leaves_no_bundle_and_the_next_one_clears_up(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path / "bundle"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as out:
        out.readline()
    with BundleWriter(tmp_path / "bundle"):
        assert len(names(tmp_path)) == 2  # the other process lives: its work is left alone
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert names(tmp_path) == [f".bundle.{process.pid}.partial"]
    with BundleWriter(tmp_path / "bundle") as writer:
        assert names(tmp_path) == [f".bundle.{os.getpid()}.partial"]
        writer.finish(BODY)
    assert names(tmp_path) == ["bundle"]


def test_equal_content_is_one_file_under_the_most_guarded_word(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "bundle") as writer:
        first = writer.put_evidence(b"x", "text/plain", INTERNAL, "first")
        assert writer.content(first.sha256) == b"x"
        second = writer.put_evidence(b"x", "application/json", RESTRICTED, "second")
        third = writer.put_evidence(b"x", "text/plain", Confidentiality.PUBLIC, "third")
        assert first.path == second.path == third.path
        [piece] = writer.evidence
        assert piece == second == third
        assert (piece.name, piece.confidentiality) == ("first", RESTRICTED)
        assert writer.content(piece.sha256) is None
        assert writer.content("0" * 64) is None


def test_the_evidence_list_is_sorted_and_its_root_proves_each_piece(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "bundle") as writer:
        for number in range(5):
            writer.put_evidence(b"%d" % number, "text/plain", INTERNAL, f"piece {number}")
        evidence = writer.evidence
    assert [piece.sha256 for piece in evidence] == sorted(piece.sha256 for piece in evidence)
    leaves = [  # rfc8785 written by hand: ASCII strings and an integer
        f'["{p.sha256}",{p.size},"{p.media_type}","{p.confidentiality}","{p.name}"]'.encode() for p in evidence
    ]
    top = bytes.fromhex(evidence_root(reversed(evidence)))
    assert all(verify_inclusion(leaf, i, 5, inclusion_proof(leaves, i), top) for i, leaf in enumerate(leaves))


@pytest.mark.parametrize(
    ("media_type", "suffix"),
    [
        ("application/json", ".json"),
        ("application/vnd.fedaudit.plot+json", ".json"),
        ("image/png", ".png"),
        ("application/octet-stream", ""),
    ],
)
def test_a_suffix_tells_the_media_type(media_type: str, suffix: str) -> None:
    assert suffix_of(media_type) == suffix


# --- signing what is there ------------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> World:
    return sound_world(tmp_path / "world")


def test_a_countersignature_joins_the_others_and_replaces_its_own(world: World) -> None:
    before = world.members()
    add_signature(world.bundle, STRANGER)
    added = add_signature(world.bundle, STRANGER)
    assert world.members()["signatures"][:2] == before["signatures"]
    assert len(world.members()["signatures"]) == 3
    assert world.members()["payload"] == before["payload"]
    assert added == read_bundle(world.bundle)
    assert names(world.folder) == ["auditor.pub", "bundle", "model.bin", "provider.pub", "trust.toml"]
    world.verify()


def test_an_unsigned_bundle_can_be_read_and_signed(world: World) -> None:
    world.set_envelope(signatures=[])
    assert read_bundle(world.bundle).envelope.signatures == ()
    for key in (AUDITOR, PROVIDER):
        add_signature(world.bundle, key)
    world.verify()


def test_signing_works_from_inside_the_bundle(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.bundle)
    assert add_signature(Path(), PROVIDER).envelope.signed_by(PROVIDER.public)


def test_nobody_signs_what_cannot_be_read(world: World) -> None:
    body = base64.b64decode(world.members()["payload"]).replace(b'"ward"', b'"WARD" ')
    world.set_envelope(payload=base64.b64encode(body).decode())
    before = world.envelope.read_bytes()
    with pytest.raises(UnreadableBundleError) as refusal:
        add_signature(world.bundle, AUDITOR)
    assert (refusal.value.code, refusal.value.exit_code) == ("statement.not_canonical", 3)
    assert world.envelope.read_bytes() == before


def test_reading_tells_nothing_there_from_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as missing:
        read_bundle(tmp_path / "nowhere")
    assert (missing.value.code, missing.value.exit_code) == ("bundle.not_found", 2)
    with pytest.raises(BundleError) as broken:
        read_bundle(tmp_path)
    assert (broken.value.code, broken.value.exit_code) == ("bundle.missing_envelope", 3)


def test_reading_implies_no_trust(world: World) -> None:
    members = json.loads(world.envelope.read_bytes())
    members["signatures"] = [{"keyid": AUDITOR.keyid, "sig": "e30="}]
    world.envelope.write_text(json.dumps(members))
    bundle = read_bundle(world.bundle)
    assert bundle.report.system.name == "ward"
    assert not bundle.envelope.signed_by(AUDITOR.public)
