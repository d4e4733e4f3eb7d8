"""`fedaudit secagg verify-transcript`: the exit codes of the table, and what people are told."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.cli.main import run
from secagg.draft import Draft
from secagg.faults import with_fault
from secagg.transcript import read_transcript
from tests.audit.cli.described import described

VECTORS = Path(__file__).parents[2] / "vectors/secagg"
HOUSE = {"fedaudit", "command", "exit_code", "code", "message", "hint", "schema"}


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    """Copies a vector transcript to where it can be edited."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(VECTORS / f"transcript-{name}", tmp_path / name))

    return copy


def write(folder: Path, source: Any) -> None:
    (folder / "transcript.jsonl").write_bytes(b"".join(line + b"\n" for line in source.lines()))
    for digest, data in source.blobs.items():
        (folder / "blobs" / digest).write_bytes(data)


def answered(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    code = run(["secagg", "verify-transcript", *map(str, arguments), "--json"])
    document = json.loads(capsys.readouterr().out)
    described(document)
    assert document["exit_code"] == code
    assert document["command"] == "secagg verify-transcript"
    return code, document


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = run(["secagg", "verify-transcript", *map(str, arguments), "--no-color"])
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return code, out + err


def test_a_sound_transcript_passes_and_says_whose_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = answered(capsys, VECTORS / "transcript-a")
    assert (code, document["status"], document["authenticity"], document["code"]) == (0, "pass", "signed", "ok")
    assert document["schema"] == "fedaudit.secagg.verify-transcript/1"
    assert document.keys() == HOUSE | {
        "status", "authenticity", "complete", "transcripts", "cross_round", "min_honest_survivors",
    }  # fmt: skip
    code, text = told(capsys, VECTORS / "transcript-a/transcript.jsonl", VECTORS / "transcript-b")
    assert code == 0
    assert "signed: every client's record verifies under identities.json beside it" in text
    assert "unsigned: the chain shows that nothing changed since it was written, not who wrote it" in text
    assert "two cohorts differ in 4 clients" in text


@pytest.mark.parametrize(
    ("planted", "exit_code", "word"),
    [("blob-digest", 4, "secagg.not_authentic"), ("phase-order", 1, "secagg.violated"), ("double-reveal", 1, "")],
)
def test_a_fault_names_file_line_code_and_what_to_change(
    copied: Callable[[str], Path], capsys: pytest.CaptureFixture[str], planted: str, exit_code: int, word: str
) -> None:
    folder = copied("b")
    write(folder, with_fault(read_transcript(folder), planted))
    code, document = answered(capsys, folder)
    assert (code, document["status"]) == (exit_code, "fail")
    assert word in document["code"]
    assert planted in {violation["code"] for violation in document["transcripts"][0]["violations"]}
    code, text = told(capsys, folder)
    assert (code, str(folder) in text, f"{planted} in " in text, f"to change    {planted}: " in text) == (
        exit_code, True, True, True,
    )  # fmt: skip
    assert "blob " in text if planted == "blob-digest" else re.search(r": line \d+: ", text)


def test_not_authentic_comes_before_violation_and_violation_before_incomplete(
    copied: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    sound, violated, broken, unfinished = (copied("b"), *(VECTORS for _ in range(3)))
    violated, broken, unfinished = (shutil.copytree(sound, sound.parent / name) for name in ("v", "k", "u"))
    write(violated, with_fault(read_transcript(sound), "phase-order"))
    write(broken, with_fault(read_transcript(sound), "malformed-record"))
    (unfinished / "transcript.jsonl").write_bytes((sound / "transcript.jsonl").read_bytes()[:-1])
    assert answered(capsys, unfinished)[0] == 3
    assert answered(capsys, unfinished, violated)[0] == 1
    assert answered(capsys, unfinished, violated, broken)[0] == 4


def test_an_unfinished_transcript_names_its_last_complete_record(
    copied: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied("a")
    (folder / "transcript.jsonl").write_bytes((folder / "transcript.jsonl").read_bytes()[:-9])
    code, text = told(capsys, folder)
    assert (code, "INCONCLUSIVE" in text, "the last complete record is line 26 (unmask)" in text) == (3, True, True)


def test_a_withheld_vector_is_3_one_of_another_length_1_and_one_named_like_a_path_4(
    copied: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied("b")
    path = next(iter((folder / "blobs").iterdir()))
    content = path.read_bytes()
    path.unlink()
    code, document = answered(capsys, folder)
    assert (code, document["transcripts"][0]["aggregate"]) == (3, "withheld")
    path.write_bytes(content + b"\0\0\0\0")
    assert answered(capsys, folder)[0] == 1
    path.write_bytes(content)
    assert answered(capsys, folder)[0] == 0
    draft = Draft.of(read_transcript(folder))
    draft.having("aggregate")[0]["body"]["blob"] = "../transcript.jsonl"
    write(folder, draft.edited())
    code, document = answered(capsys, folder)
    assert (code, document["transcripts"][0]["violations"][0]["code"]) == (4, "malformed-record")


def test_identities_that_are_given_count_before_those_beside(
    copied: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "vouched.json"
    shutil.copy(VECTORS / "transcript-a/identities.json", given)
    code, document = answered(capsys, VECTORS / "transcript-a", "--identities", given)
    assert (code, document["transcripts"][0]["identities"]) == (0, "given")
    known = json.loads(given.read_text())
    given.write_text(json.dumps(known | {"c00003": known["c00004"]}))
    code, document = answered(capsys, VECTORS / "transcript-a", "--identities", given)
    assert (code, document["authenticity"]) == (4, "broken")
    given.write_text("[]")
    code, document = answered(capsys, VECTORS / "transcript-a", "--identities", given)
    assert (code, document["code"], "vouched.json" in document["message"]) == (2, "secagg.identities", True)
    alone = copied("a")
    (alone / "identities.json").unlink()
    code, text = told(capsys, alone)
    assert (code, "nobody outside the header vouches for the keys" in text) == (0, True)
    (alone / "identities.json").write_text("{")
    code, document = answered(capsys, alone)
    assert (code, document["transcripts"][0]["violations"][0]["detail"][:15]) == (4, "identities.json")


def test_a_malicious_server_may_not_leave_signatures_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert answered(capsys, VECTORS / "transcript-b", "--server-trust", "honest-but-curious")[0] == 0
    code, document = answered(capsys, VECTORS / "transcript-b", "--server-trust", "malicious")
    assert (code, document["authenticity"]) == (4, "broken")
    assert answered(capsys, VECTORS / "transcript-b", "--server-trust", "trusted")[0] == 2


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"{}\n", b'{"body":{"protocol":"x"},"type":"header"}\n', b"\x80\n", b"{"]
)
def test_another_file_is_2_and_told_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / "transcript.jsonl").write_bytes(content)
    code, document = answered(capsys, tmp_path)
    assert (code, document["code"]) == (2, "secagg.not_a_transcript")
    assert "is not a fedaudit-secagg-v1 transcript" in document["message"]
    assert answered(capsys, tmp_path / "absent")[0] == 2
    assert answered(capsys)[0] == 2


def test_a_name_in_a_transcript_cannot_forge_output(
    copied: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied("b")
    draft = Draft.of(read_transcript(folder))
    draft.header["run"] = "\x1b[2Jx\nPASS: all is well\u202e"
    write(folder, draft.edited())
    code, text = told(capsys, folder)
    assert code == 1  # another session, so that the commitments are others
    assert not {"\x1b", "\u202e"} & set(text)
    assert "\nPASS" not in text
    assert hashlib.sha256(next(draft.edited().lines())).hexdigest()[:12] in text
