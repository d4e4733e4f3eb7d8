import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from pydantic import ValidationError

from reports.errors import FileError
from unlearning.errors import UnlearningError
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.transcript import (
    FAULTS,
    Close,
    DataFile,
    DataFiles,
    Header,
    PrivacyClaim,
    Round,
    RoundCounts,
    TotalWork,
    TranscriptWriter,
    Versions,
    read_transcript,
    verify_transcript,
)
from unlearning.federated.transcript_lines import MAX_LINE, MAX_LINES, MAX_TRANSCRIPT

Fields = dict[str, Any]
Edit = Callable[[list[Fields]], None]


def digest(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()


HEADER = Header(
    request="client:4,7",
    method="ffum",
    parameters={"divergence": "kl", "margin": 0.01, "rounds": 2, "directed": True, "cap": None},
    recipe=TrainingRecipe(rounds=30, batch_size=32, learning_rate=0.1),
    seed=7,
    before=digest("before"),
    data=DataFiles(
        forget=DataFile(path="forget.npz", sha256=digest("forget"), examples=120),
        retain=DataFile(path="retain.npz", sha256=digest("retain"), examples=900),
    ),
    offline=(7,),
    versions=Versions(torch="2.13.0", device="cpu", threads=1),
    differential_privacy=PrivacyClaim(clipping_norm=1.0, noise_multiplier=0.5),
)
ROUNDS = (
    Round(index=31, phase="max", participants=(4,), weights=(1.0,), model=digest("31"), loss=-1.5, work=216,
          teacher_forwards=120, capped=0.25, divergence=0.4),
    Round(index=32, phase="min", participants=(0, 1, 2), weights=(0.5, 0.25, 0.25), model=digest("32"), work=900,
          teacher_forwards=900, loss_forget=2.0, loss_twin=2.25, noise_standard_deviation=0.5),
    Round(index=33, phase="max", participants=(4,), model=digest("33"), work=216, teacher_forwards=120),
    Round(index=34, phase="min", participants=(0, 2, 3), model=digest("34"), work=900, teacher_forwards=900),
    Round(index=35, phase="post", participants=(1, 2, 3), model=digest("35"), work=880, update_norm=0.5),
)  # fmt: skip
CLOSE = Close(
    after=digest("35"),
    kept=34,
    rounds=RoundCounts(max=2, min=2, post=1),
    work=TotalWork(example_gradients=3112, teacher_forwards=2040, retrain_example_gradients=54000),
    progress="degraded",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sound transcript, as the writer leaves it."""
    file = tmp_path / "transcript.jsonl"
    with TranscriptWriter(file) as transcript:
        for line in (HEADER, *ROUNDS, CLOSE):
            transcript.write(line)
    return file


def chained_anew(path: Path, edit: Edit) -> Path:
    """Let somebody who knows the format change the lines: canonical, chained, the close with its own digest."""
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    edit(lines)
    previous, written = "0" * 64, b""
    for line in lines:
        line["prev"] = previous
        if line.get("kind") == "close":
            line.pop("digest", None)
            line["digest"] = hashlib.sha256(rfc8785.dumps(line)).hexdigest()
        data = rfc8785.dumps(line)
        previous, written = hashlib.sha256(data).hexdigest(), written + data + b"\n"
    path.write_bytes(written)
    return path


def codes(path: Path) -> list[tuple[int, str]]:
    found = verify_transcript(path)
    assert all(one.code in FAULTS and one.message.startswith(f"line {one.line}: ") for one in found)
    return [(one.line, one.code) for one in found]


def test_a_transcript_is_read_as_it_was_written(path: Path) -> None:
    read = read_transcript(path)
    assert verify_transcript(path) == ()
    assert (read.request.kind, [target.number for target in read.request.targets]) == ("client", [4, 7])
    assert read.header.model_copy(update={"prev": HEADER.prev}) == HEADER
    assert [one.model_copy(update={"prev": HEADER.prev}) for one in read.rounds] == list(ROUNDS)
    assert read.close is not None
    assert (read.close.kept, read.close.work, read.close.progress) == (34, CLOSE.work, "degraded")
    assert read.header.parameters == {"divergence": "kl", "margin": 0.01, "rounds": 2, "directed": True}


def test_claimed_noise_is_compared_a_coordinate(path: Path) -> None:
    assert read_transcript(path).least_noise_ratio == 0  # four rounds bear none

    def noised(size: float) -> Edit:
        def edit(lines: list[Fields]) -> None:
            for line in lines[1:6]:
                line["noise_standard_deviation"] = size

        return edit

    assert read_transcript(chained_anew(path, noised(0.5))).least_noise_ratio == 1
    shared = 0.5 / math.sqrt(4810)  # the length of the whole noise vector, spread over its coordinates: an old error
    assert read_transcript(chained_anew(path, noised(shared))).least_noise_ratio == pytest.approx(0.0144, abs=1e-4)
    unclaimed = chained_anew(path, lambda lines: lines[0].pop("differential_privacy"))
    assert read_transcript(unclaimed).least_noise_ratio is None


def test_each_line_is_canonical_and_bears_the_digest_of_the_one_before(path: Path) -> None:
    previous = "0" * 64
    for line in path.read_bytes().splitlines():
        fields = json.loads(line)
        assert rfc8785.dumps(fields) == line
        assert fields["prev"] == previous
        assert None not in fields.values()
        previous = hashlib.sha256(line).hexdigest()
    assert fields.pop("digest") == hashlib.sha256(rfc8785.dumps(fields)).hexdigest()


def test_a_number_that_is_not_finite_is_left_out() -> None:
    line = Round(
        index=1, phase="train", participants=(0,), model=digest("a"), work=1, loss=math.nan, loss_twin=math.inf
    )
    assert (line.loss, line.loss_twin) == (None, None)
    assert Round(index=1, phase="max", participants=(0,), model=digest("a"), work=1, capped=1 + 1e-15).capped == 1
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Round(index=1, phase="train", participants=(0,), model=digest("a"), work=1, loss_forget=-1.0)


def test_the_writer_overwrites_nothing_and_keeps_the_order(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UnlearningError, match=r"transcript\.jsonl is there already"):
        TranscriptWriter(path)
    with pytest.raises(UnlearningError, match="cannot write"):
        TranscriptWriter(tmp_path / "missing" / "transcript.jsonl")
    with TranscriptWriter(tmp_path / "other.jsonl") as other:
        with pytest.raises(ValueError, match="a round cannot follow nothing"):
            other.write(ROUNDS[0])
        other.write(HEADER)
        with pytest.raises(ValueError, match="a header cannot follow header"):
            other.write(HEADER)
        other.write(CLOSE)
        with pytest.raises(ValueError, match="a round cannot follow close"):
            other.write(ROUNDS[0])


def test_a_killed_process_leaves_complete_lines_and_no_close(path: Path, tmp_path: Path) -> None:
    killed = tmp_path / "killed.jsonl"
    with TranscriptWriter(killed) as transcript:
        transcript.write(HEADER)
        transcript.write(ROUNDS[0])
    assert codes(killed) == [(2, "incomplete")]
    with pytest.raises(UnlearningError, match="the last line is no close"):
        read_transcript(killed)
    assert read_transcript(killed, skip_broken=True).close is None


def test_a_flipped_bit_is_noticed_in_every_line(path: Path) -> None:
    sound = path.read_bytes()
    newlines = [place for place, byte in enumerate(sound) if byte == ord("\n")]
    for place in sorted({*newlines, *range(0, len(sound), 3)}):
        flipped = bytearray(sound)
        flipped[place] ^= 1 << (place % 8)
        path.write_bytes(flipped)
        line = sound[:place].count(b"\n") + 1
        found = {one.line for one in verify_transcript(path)}
        assert found, f"byte {place} of line {line}"
        assert min(found) in (line, line + 1)  # itself, or the next, which names its digest


def test_a_missing_line_is_noticed_at_every_line(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for gone in range(len(lines)):
        path.write_bytes(b"".join(lines[:gone] + lines[gone + 1 :]))
        first = verify_transcript(path)[0]
        assert first.line == (gone + 1 if gone + 1 < len(lines) else gone)
        assert first.code in ("chain", "incomplete")


def test_two_exchanged_lines_are_noticed_wherever_they_stand(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for one in range(len(lines)):
        for other in range(one + 1, len(lines)):
            edited = list(lines)
            edited[one], edited[other] = lines[other], lines[one]
            path.write_bytes(b"".join(edited))
            assert verify_transcript(path)[0].line == one + 1


def test_a_doubled_line_is_noticed_at_every_line(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for place in range(len(lines)):
        path.write_bytes(b"".join(lines[: place + 1] + lines[place:]))
        assert (place + 2, "chain") in codes(path)


def test_a_cut_file_is_noticed(path: Path) -> None:
    sound = path.read_bytes()
    for length in range(0, len(sound), 11):
        path.write_bytes(sound[:length])
        assert "incomplete" in {one.code for one in verify_transcript(path)}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b'"index":33', b'"index": 33', "canonical form"),
        (b'"work":216', b'"work":2.16e2', "canonical form"),
        (b'"index":33', b'"index":33,"index":33', "twice"),
        (b'"work":900', b'"work":NaN', "NaN"),
        (b'"work":900', b'"work":-1', "work: Input should be greater than or equal to 0"),
        (b'"participants":[4]', b'"participants":[]', "participants"),
        (b'"participants":[0,2,3]', b'"participants":[2,0,3]', "clients ascend"),
        (b'"weights":[1]', b'"weights":[0.5,0.5]', "1 participants have 2 weights"),
        (b'"kind":"round"', b'"kind":"other"', "kind"),
        (b'"request":"client:4,7"', b'"request":"client:four"', "is no number and no range"),
        (b'"path":"forget.npz"', b'"path":"../forget.npz"', "stays below"),
        (b'"seed":7', b'"seed":true', "seed"),
        (b'"learning_rate":0.1', b'"learning_rate":0', "learning_rate"),
        (b"{", b"[", "JSON"),
        (b"client", b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_malformed_line_is_told_with_its_number(path: Path, old: bytes, new: bytes, problem: str) -> None:
    sound = path.read_bytes()
    assert old in sound
    path.write_bytes(sound.replace(old, new, 1))
    line = sound[: sound.index(old)].count(b"\n") + 1
    [fault] = [one for one in verify_transcript(path) if one.code == "malformed"]
    assert (fault.line, problem in fault.message) == (line, True), fault
    with pytest.raises(UnlearningError, match=rf"transcript\.jsonl: line {line}: ") as caught:
        read_transcript(path)
    assert (caught.value.code, caught.value.exit_code) == ("unlearning.transcript", 2)
    if line > 1:
        skipped = read_transcript(path, skip_broken=True)
        assert (len(skipped.rounds), skipped.header.request) == (4, "client:4,7")


def test_chaining_anew_alone_changes_nothing(path: Path) -> None:
    sound = path.read_bytes()
    assert chained_anew(path, lambda _: None).read_bytes() == sound


def put(place: int, key: str, value: object) -> Edit:
    """Set one member of one line, nested where the key has a dot."""

    def edit(lines: list[Fields]) -> None:
        *outer, last = key.split(".")
        fields = lines[place]
        for name in outer:
            fields = fields[name]
        fields[last] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "line", "code"),
    [
        (put(2, "participants", [0, 1, 4]), 3, "forget-client"),
        (put(5, "participants", [2, 3, 4]), 6, "forget-client"),
        (put(2, "phase", "train"), None, None),
        (put(1, "participants", [7]), 2, "offline"),
        (put(2, "weights", [0.5, 0.5, 0.5]), 3, "weights"),
        (put(2, "index", 33), 3, "index"),
        (put(3, "index", 35), 4, "index"),
        (put(4, "phase", "post"), None, None),
        (put(2, "phase", "post"), 4, "phase"),
        (put(6, "kept", 36), 7, "kept"),
        (put(6, "after", digest("other")), 7, "after"),
        (put(6, "after", HEADER.before), 7, "unchanged"),
        (put(6, "rounds.max", 3), 7, "totals"),
        (put(6, "work.example_gradients", 3111), 7, "totals"),
        (put(6, "work.teacher_forwards", 0), 7, "totals"),
        (put(4, "work", 901), 7, "totals"),
        (lambda lines: lines.pop(3), 4, "index"),
        (lambda lines: lines.pop(), 6, "incomplete"),
        (lambda lines: lines.pop(0), 1, "incomplete"),
        (lambda lines: lines.append(dict(lines[4])), 7, "order"),
        (lambda lines: lines.insert(1, dict(lines[0])), 2, "order"),
    ],
)
def test_a_new_chain_does_not_hide_what_the_lines_say(
    path: Path, edit: Edit, line: int | None, code: str | None
) -> None:
    found = codes(chained_anew(path, edit))
    assert "chain" not in {one for _, one in found}
    if code is None:  # the phase itself is its author's word: what does not add up are the totals
        assert found == [(7, "totals")]
    else:
        assert (line, code) in found


def test_the_forget_client_may_train_where_only_some_of_its_examples_go(path: Path) -> None:
    def edit(lines: list[Fields]) -> None:
        lines[0]["request"] = "sample:4=0-9"
        lines[2]["participants"] = [0, 1, 4]

    assert codes(chained_anew(path, edit)) == []


def test_without_post_rounds_the_kept_model_is_the_delivered_one(path: Path) -> None:
    def edit(lines: list[Fields]) -> None:
        gone = lines.pop(5)
        lines[5]["rounds"]["post"] = 0
        lines[5]["work"]["example_gradients"] -= gone["work"]
        lines[5]["after"], lines[5]["kept"] = digest("32"), 32

    assert codes(chained_anew(path, edit)) == []
    assert codes(chained_anew(path, put(5, "kept", 34))) == [(6, "after")]
    assert codes(chained_anew(path, lambda lines: lines[5].pop("kept"))) == [(6, "after")]
    assert codes(chained_anew(path, put(5, "after", digest("34")))) == []


def test_a_model_that_no_round_made_is_noticed(path: Path) -> None:
    def edit(lines: list[Fields]) -> None:
        del lines[1:6]
        lines[1]["rounds"] = {}
        lines[1]["work"] |= {"example_gradients": 0, "teacher_forwards": 0}
        del lines[1]["kept"]

    assert codes(chained_anew(path, edit)) == [(2, "after")]
    assert codes(chained_anew(path, put(1, "after", HEADER.before))) == [(2, "unchanged")]


def test_an_empty_file_is_incomplete(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    assert {one.code for one in verify_transcript(tmp_path / "empty.jsonl")} == {"incomplete"}
    with pytest.raises(UnlearningError, match=r"empty\.jsonl: line 1: it is no header"):
        read_transcript(tmp_path / "empty.jsonl", skip_broken=True)


def test_a_file_that_cannot_be_read_is_one_sentence(path: Path, tmp_path: Path) -> None:
    for file in (tmp_path / "missing.jsonl", tmp_path):
        with pytest.raises(FileError):
            verify_transcript(file)
    path.write_bytes(b"\x80\x04\x95" + bytes(20))
    with pytest.raises(FileError, match="refused"):
        read_transcript(path)


@pytest.mark.parametrize(
    ("lines", "length"), [(1, MAX_LINE + 1), (MAX_TRANSCRIPT // MAX_LINE + 1, MAX_LINE - 1), (MAX_LINES + 1, 0)]
)
def test_a_file_beyond_the_limits_is_refused(tmp_path: Path, lines: int, length: int) -> None:
    file = tmp_path / "transcript.jsonl"
    with file.open("wb") as long:
        for number in range(1, lines + 1):  # zeros that take no room on the disk
            long.seek(number * (length + 1) - 1)
            long.write(b"\n")
    with pytest.raises(FileError, match=f"line {lines} is beyond what a transcript holds"):
        verify_transcript(file)
