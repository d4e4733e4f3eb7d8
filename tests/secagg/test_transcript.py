"""The record of a round: written as it happens, kept after a kill, opened again without belief."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.errors import FileError
from secagg.messages import FIRST_PREVIOUS, unsigned
from secagg.records import Roster, ShareRoster
from secagg.server import SecAggServer
from secagg.source import LONGEST_LINE
from secagg.transcript import FolderSource, TranscriptWriter, read_identities, read_transcript
from secagg.verify import verify_transcripts
from secagg.wire import MalformedRecord


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "digests"])
def test_a_round_that_was_recorded_verifies_as_far_as_it_was_kept(drive: type[Any], tmp_path: Path, kept: bool) -> None:
    one = drive()
    vouched = {client: identity.public_key for client, identity in one.identities.items()}
    with TranscriptWriter(tmp_path / "deep/round", keep_blobs=kept, identities=vouched) as writer:
        one.server = SecAggServer(one.header, writer)
        result = one.unmask()
    found = verify_transcripts([tmp_path / "deep/round"])
    [verified] = found.transcripts
    assert found.violations == ()
    assert (found.status, found.authenticity) == ("pass" if kept else "inconclusive", "signed")
    assert verified.aggregate == ("equal" if kept else "withheld")
    assert verified.survivors == result.survivors
    assert verified.aggregate_sha256 == hashlib.sha256(result.total.tobytes()).hexdigest()
    assert (tmp_path / "deep/round/blobs").exists() is kept


def test_lines_are_chained_from_zeros_and_end_in_newlines(tmp_path: Path) -> None:
    with TranscriptWriter(tmp_path) as writer:
        writer.record(unsigned(Roster(("a", "b"))))
        writer.record(unsigned(ShareRoster(("a",))))
    first, second, rest = (tmp_path / "transcript.jsonl").read_bytes().split(b"\n")
    assert rest == b""
    assert (json.loads(first)["prev"], json.loads(first)["seq"]) == (FIRST_PREVIOUS, 0)
    assert (json.loads(second)["prev"], json.loads(second)["seq"]) == (hashlib.sha256(first).hexdigest(), 1)


def test_vectors_are_kept_by_content_in_little_endian_words(tmp_path: Path) -> None:
    vector = np.arange(10, dtype=">u8")[::2]
    with TranscriptWriter(tmp_path) as writer:
        digest = writer.blob(vector)
        assert writer.blob(vector.astype("<u8")) == digest
    words = b"".join(int(word).to_bytes(8, "little") for word in vector)
    assert digest == hashlib.sha256(words).hexdigest()
    assert (tmp_path / "blobs" / digest).read_bytes() == words
    assert len(list((tmp_path / "blobs").iterdir())) == 1


def test_a_folder_that_holds_something_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("x")
    with pytest.raises(FileError, match="never overwritten"):
        TranscriptWriter(tmp_path)
    with pytest.raises(FileError, match="cannot write"):
        TranscriptWriter(tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_writer_that_is_killed_leaves_complete_lines(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from secagg.transcript import TranscriptWriter; from secagg.messages import unsigned\n"
        "from secagg.records import Roster\n"
        "writer = TranscriptWriter(Path(sys.argv[1]))\n"
        "body = Roster(tuple(sorted(f'c{i}' for i in range(5000))))\n"
        "while True: writer.record(unsigned(body))\n"
    )
    file = tmp_path / "round/transcript.jsonl"
    with subprocess.Popen([sys.executable, "-c", program, str(file.parent)]) as process:
        while not file.exists() or file.stat().st_size < 200_000:
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    source = read_transcript(file.parent)
    lines = list(source.lines())
    assert len(lines) >= 2
    assert [json.loads(line)["seq"] for line in lines] == list(range(len(lines)))
    assert len(b"\n".join(lines)) + 1 == file.stat().st_size or source.cut_short


def test_an_unfinished_line_is_not_read_and_said_to_be_there(tmp_path: Path) -> None:
    file = tmp_path / "transcript.jsonl"
    for content, lines, cut in ((b"", [], False), (b"a\nb\n", [b"a", b"b"], False), (b"a\nb", [b"a"], True)):
        file.write_bytes(content)
        source = read_transcript(tmp_path)
        assert (list(source.lines()), source.cut_short) == (lines, cut)


def test_a_line_without_end_is_cut_and_the_next_is_still_read(tmp_path: Path) -> None:
    file = tmp_path / "transcript.jsonl"
    for length in (LONGEST_LINE, LONGEST_LINE + 1, LONGEST_LINE + 2, 2 * LONGEST_LINE + 9):
        file.write_bytes(b"x" * length + b"\nnext\n")
        first, second = read_transcript(file).lines()
        assert (len(first), second) == (min(length, LONGEST_LINE + 1), b"next")
    file.write_bytes(b"x" * (3 * LONGEST_LINE))
    assert list(read_transcript(file).lines()) == []


def test_only_digests_are_opened_as_vectors_and_only_regular_files(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "secret").write_text("x")
    source = FolderSource(tmp_path / "transcript.jsonl", "here")
    for name in ("../secret", "/etc/passwd", "", "A" * 64, "a" * 63, "a" * 64 + "\n"):
        with pytest.raises(ValueError, match="named by its SHA-256"):
            source.blob(name)
    assert source.blob("a" * 64) is None
    os.mkfifo(tmp_path / "blobs" / ("b" * 64))
    assert source.blob("b" * 64) is None
    (tmp_path / "blobs" / ("c" * 64)).touch()
    empty = source.blob("c" * 64)
    assert empty is not None
    assert empty.size == 0


def test_a_vector_larger_than_the_memory_costs_nothing_to_open(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    with (tmp_path / "blobs" / ("d" * 64)).open("wb") as file:
        file.truncate(1 << 42)
    mapped = FolderSource(tmp_path / "transcript.jsonl", "here").blob("d" * 64)
    assert mapped is not None
    assert mapped.size == 1 << 42


def test_a_path_without_transcript_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="there is no file"):
        read_transcript(tmp_path)
    with pytest.raises(FileError, match="is no transcript"):
        read_transcript(tmp_path / "absent")
    os.mkfifo(tmp_path / "transcript.jsonl")
    with pytest.raises(FileError, match="is no transcript"):
        read_transcript(tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[]", "an object"),
        (b"{", "not JSON"),
        (b'{"a/b": ""}', "client id"),
        (b'{"a": "AA=="}', "1 bytes where 32"),
        (b'{"a": "%s", "a": "%s"}' % (b"A" * 43 + b"=", b"A" * 43 + b"="), "twice"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "nested"),
    ],
)
def test_identities_are_read_strictly(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "identities.json").write_bytes(content)
    with pytest.raises(MalformedRecord, match=f"identities.json: .*{told}"):
        read_identities(tmp_path / "identities.json")


def test_identities_beside_a_transcript_are_read_as_they_were_written(tmp_path: Path) -> None:
    vouched = {"b": bytes(32), "a": bytes(range(32))}
    with TranscriptWriter(tmp_path, identities=vouched):
        assert read_transcript(tmp_path).identities() == vouched
