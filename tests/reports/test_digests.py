"""Digests of files and folders: against hashlib on the whole, and against the definition written out."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from reports.digests import PIECE, artifact_sha256, file_sha256, folder_sha256
from reports.errors import ReportError


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1])
def test_a_file_is_hashed_whole_though_read_in_pieces(tmp_path: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    path = tmp_path / "model"
    path.write_bytes(data[:size])
    assert file_sha256(path) == artifact_sha256(path) == hashlib.sha256(data[:size]).hexdigest()


def test_a_folder_is_the_sorted_list_of_its_paths_and_digests(tmp_path: Path) -> None:
    for name in ("b", "a/z", "a.x", "ä"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "empty").mkdir()
    listed = sorted([name, hashlib.sha256(name.encode()).hexdigest()] for name in ("b", "a/z", "a.x", "ä"))
    written = json.dumps(listed, separators=(",", ":"), ensure_ascii=False).encode()
    assert folder_sha256(tmp_path) == artifact_sha256(tmp_path) == hashlib.sha256(written).hexdigest()


def test_a_renamed_file_changes_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    before = folder_sha256(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert folder_sha256(tmp_path) != before


def test_a_link_to_a_file_counts_as_the_file(tmp_path: Path) -> None:
    for name in ("plain", "linked"):
        (tmp_path / name).mkdir()
    (tmp_path / "plain" / "a").write_text("x")
    (tmp_path / "linked" / "a").symlink_to(tmp_path / "plain" / "a")
    assert folder_sha256(tmp_path / "plain") == folder_sha256(tmp_path / "linked")


def test_what_a_digest_would_miss_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    with pytest.raises(ReportError, match="link to a folder"):
        folder_sha256(tmp_path)
    (tmp_path / "loop").unlink()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ReportError, match="neither a file nor a folder"):
        folder_sha256(tmp_path)


def test_a_name_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_text("x")
    except OSError:
        pytest.skip("this file system keeps no such names")
    with pytest.raises(ReportError, match="not Unicode"):
        folder_sha256(tmp_path)


def test_what_is_neither_a_file_nor_a_folder_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"model")
    (tmp_path / "link").symlink_to("model")
    assert artifact_sha256(tmp_path / "link") == hashlib.sha256(b"model").hexdigest()
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(ReportError, match="neither a file nor a folder") as refused:
            artifact_sha256(path)
        assert refused.value.code == "artifact.not_file"
