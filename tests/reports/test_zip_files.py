"""A bundle in a zip answers as its folder does, whoever packed it, and gives what it holds in small pieces."""

import os
import shutil
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports.bundle import add_signature, read_bundle
from reports.bundle_files import FolderFiles, files_of, is_bundle, read_content
from reports.errors import BundleError, VerificationError
from reports.renderings import bundle_renderings, write_standard_renderings
from tests.reports.conformance.world import AUDITOR, RENDERED, World, sound_world
from tests.reports.conformance.zips import Part, parts_of, zipped

ZIP = pytest.mark.skipif(shutil.which("zip") is None, reason="Info-ZIP is not installed: apt-get install zip")
Packer = Callable[[Path, Path], object]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> World:
    return sound_world(tmp_path_factory.mktemp("zip") / "world")


def by_python(how: int) -> Packer:
    def pack(folder: Path, target: Path) -> None:
        with zipfile.ZipFile(target, "w", how) as file:
            for path in sorted(folder.rglob("*")):
                file.write(path, path.relative_to(folder))

    return pack


def by_info_zip(*options: str) -> Packer:
    return lambda folder, target: subprocess.run(["zip", "-qr", *options, target, "."], cwd=folder, check=True)


def to_a_pipe(folder: Path, target: Path) -> None:
    done = subprocess.run(["zip", "-qr", "-", "."], cwd=folder, check=True, capture_output=True)
    target.write_bytes(done.stdout)


def by_module(folder: Path, target: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    subprocess.run([sys.executable, "-m", "zipfile", "-c", target, *names], cwd=folder, check=True)


PACKERS = [
    pytest.param(by_python(zipfile.ZIP_STORED), id="zipfile-stored"),
    pytest.param(by_python(zipfile.ZIP_DEFLATED), id="zipfile-deflated"),
    pytest.param(by_module, id="python-m-zipfile"),
    pytest.param(lambda folder, target: shutil.make_archive(str(target)[:-4], "zip", folder), id="shutil"),
    pytest.param(by_info_zip(), id="zip", marks=ZIP),
    pytest.param(by_info_zip("-0"), id="zip-0", marks=ZIP),
    pytest.param(by_info_zip("-D", "-X"), id="zip-D-X", marks=ZIP),
    pytest.param(by_info_zip("-fz"), id="zip-fz", marks=ZIP),
    pytest.param(by_info_zip("-fd"), id="zip-fd", marks=ZIP),
    pytest.param(to_a_pipe, id="zip-to-a-pipe", marks=ZIP),
]


@pytest.mark.parametrize("packer", PACKERS)
def test_whatever_tool_packed_it_a_zip_verifies_as_its_folder_does(
    sound: World, tmp_path: Path, packer: Packer
) -> None:
    packer(sound.bundle, tmp_path / "bundle.zip")
    in_zip = World(sound.folder, {"bundle": tmp_path / "bundle.zip", "renderings": lambda report: RENDERED})
    assert in_zip.verify() == World(sound.folder, {"renderings": lambda report: RENDERED}).verify()
    read = read_bundle(tmp_path / "bundle.zip")
    assert read.statement == read_bundle(sound.bundle).statement
    assert bundle_renderings(read) == bundle_renderings(read_bundle(sound.bundle))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.zip"]  # nothing was unpacked


def test_a_zip_may_have_any_name_and_be_reached_by_a_link(sound: World, tmp_path: Path) -> None:
    by_python(zipfile.ZIP_DEFLATED)(sound.bundle, tmp_path / "artifact")
    (tmp_path / "link").symlink_to(tmp_path / "artifact")
    for name in ("artifact", "link"):
        assert is_bundle(tmp_path / name)
        World(sound.folder, {"bundle": tmp_path / name}).verify()
    assert is_bundle(sound.bundle)
    assert not is_bundle(sound.folder / "model.bin")
    assert not is_bundle(tmp_path / "nowhere")


def test_a_zip_is_read_and_never_written(sound: World, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    by_python(zipfile.ZIP_DEFLATED)(sound.bundle, path)
    before = path.read_bytes()
    for write in (lambda: add_signature(path, AUDITOR), lambda: write_standard_renderings(path)):
        with pytest.raises(BundleError) as refusal:
            write()
        assert (refusal.value.code, refusal.value.exit_code) == ("bundle.zip", 2)
        assert "Unpack it" in refusal.value.hint
    assert path.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["bundle.zip"]


def test_withheld_evidence_is_left_out_of_a_zip_as_of_a_folder(sound: World, tmp_path: Path) -> None:
    shutil.copytree(sound.bundle, tmp_path / "bundle")
    world = World(sound.folder, {"bundle": tmp_path / "bundle.zip"})
    (tmp_path / "bundle" / sound.evidence("recovered digits").relative_to(sound.bundle)).unlink()
    by_python(zipfile.ZIP_DEFLATED)(tmp_path / "bundle", tmp_path / "bundle.zip")
    verified = world.verify()
    assert (verified.evidence_files, len(verified.withheld)) == (3, 1)


def test_a_zip_that_is_exchanged_between_two_looks_is_noticed(sound: World, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    by_python(zipfile.ZIP_STORED)(sound.bundle, path)
    files = files_of(path)
    assert read_content(files.open("report.dsse.json")) == sound.envelope.read_bytes()
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(BundleError) as refusal:
        files.open("report.dsse.json")
    assert refusal.value.code == "bundle.changed"


many = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@many
@given(data=st.data())
def test_any_byte_of_a_zip_is_refused_or_changes_nothing(sound: World, tmp_path: Path, data: st.DataObject) -> None:
    """Times and versions of tools may differ; what is verified may not."""
    whole = zipped(parts_of(sound.bundle))
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[place]))
    (tmp_path / "bundle.zip").write_bytes(whole[:place] + bytes([other]) + whole[place + 1 :])
    world = World(sound.folder, {"bundle": tmp_path / "bundle.zip"})
    try:
        verified = world.verify()
    except VerificationError:
        return
    assert verified == World(sound.folder).verify()


@many
@given(st.binary(max_size=300))
def test_no_bytes_under_the_name_of_a_zip_crash_the_reader(sound: World, tmp_path: Path, data: bytes) -> None:
    for start in (b"", b"PK\x03\x04", b"PK\x05\x06"):
        (tmp_path / "bundle.zip").write_bytes(start + data)
        with pytest.raises(VerificationError):
            World(sound.folder, {"bundle": tmp_path / "bundle.zip"}).verify()


@pytest.mark.parametrize("method", [0, 8])
def test_a_large_member_is_never_in_memory(sound: World, tmp_path: Path, method: int) -> None:
    content = os.urandom(2**16) * 160  # 10 MiB, within reach of deflate's window of 32 KiB only in part
    path = tmp_path / "bundle.zip"
    path.write_bytes(zipped([*parts_of(sound.bundle), Part(b"render/more", content, method=method)]))
    tracemalloc.start()
    try:
        opened = files_of(path).open("render/more")
        buffer, have = memoryview(bytearray(2**20)), 0
        with opened.file as file:
            while read := file.readinto(buffer):
                assert buffer[:read] == memoryview(content)[have : have + read]
                have += read
        assert have == opened.size == len(content)
        assert tracemalloc.get_traced_memory()[1] < 5 * 2**20
    finally:
        tracemalloc.stop()


def test_a_folder_and_its_zip_tell_the_same_of_every_place(sound: World, tmp_path: Path) -> None:
    by_python(zipfile.ZIP_DEFLATED)(sound.bundle, tmp_path / "bundle.zip")
    folder, zipped_up = files_of(sound.bundle), files_of(tmp_path / "bundle.zip")
    assert isinstance(folder, FolderFiles)
    places = [".", "evidence", "nowhere", "evidence/nowhere", "report.dsse.json/nowhere"]
    places += [path.relative_to(sound.bundle).as_posix() for path in sound.bundle.rglob("*")]
    for place in places:
        assert folder.kind(place) == zipped_up.kind(place)
        assert folder.entries(place) == zipped_up.entries(place)
        if folder.kind(place) == "file":
            assert read_content(folder.open(place)) == read_content(zipped_up.open(place))
        else:
            for files in (folder, zipped_up):
                with pytest.raises(BundleError, match="is"):
                    files.open(place)
