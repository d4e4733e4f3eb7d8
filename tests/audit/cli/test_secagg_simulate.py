"""`fedaudit secagg simulate`: keys, exit codes, files, and every row of bad input that concerns it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.cli.main import run
from tests.audit.cli.described import described

HOUSE = {"fedaudit", "command", "exit_code", "code", "message", "hint", "schema"}
KEYS = {
    "status",
    "reason",
    "clients",
    "degree",
    "threshold",
    "phases",
    "survivors",
    "aggregate_sha256",
    "exact",
    "max_abs_error",
    "saturated",
    "client_ms",
    "server_s",
    "upload_bytes",
    "peak_rss_mib",
    "transcript",
    "blamed",
    "attack",
}
SMALL = ("--clients", "10", "--dim", "6", "--seed", "3")


def answered(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON document of one `secagg simulate` command line."""
    code = run(["secagg", "simulate", *arguments, "--json"])
    document = json.loads(capsys.readouterr().out)
    described(document)
    assert document["exit_code"] == code
    return code, document


def refused(*arguments: str, capsys: pytest.CaptureFixture[str], exit_code: int = 2) -> str:
    """What a person reads of a refused command line: one line, and nothing on stdout."""
    assert run(["secagg", "simulate", *arguments]) == exit_code
    out, err = capsys.readouterr()
    assert out == ""
    line, *hint = err.splitlines()
    assert len(hint) <= 1
    return line


def saved(path: Path, array: np.ndarray) -> str:
    np.save(path, array)
    return str(path)


def test_an_honest_round_has_the_keys_of_the_specification(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = answered(*SMALL, "--drop", "masked-input=1", "--drop", "unmask=c00004", capsys=capsys)
    assert code == 0
    assert document.keys() >= HOUSE | KEYS
    assert document["schema"] == "fedaudit.secagg.simulate/1"
    assert (document["status"], document["reason"], document["exact"]) == ("ok", None, True)
    assert document["phases"] == {"advertised": 10, "shared": 10, "masked": 9, "unmasked": 8}
    assert "c00004" in document["survivors"]
    assert len(document["survivors"]) == 9
    assert len(document["aggregate_sha256"]) == 64
    assert (document["blamed"], document["attack"], document["transcript"]) == ([], None, None)


def test_the_same_seed_gives_the_same_sum_and_another_seed_another(capsys: pytest.CaptureFixture[str]) -> None:
    drop = ("--drop", "shares=1", "--drop", "masked-input=1", "--rounds", "2")
    documents = [answered("--clients", "12", "--dim", "6", "--seed", s, *drop, capsys=capsys)[1] for s in "771"]
    told = [[(r["survivors"], r["aggregate_sha256"]) for r in document["rounds"]] for document in documents]
    assert told[0] == told[1]
    assert told[0] != told[2]
    assert len(told[0]) == 2
    assert told[0][0] != told[0][1]


def test_given_updates_and_weights_give_their_weighted_mean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    updates = np.random.default_rng(0).normal(size=(10, 6)).astype(np.float32)
    weights = np.arange(1, 11)
    files = ("--updates", saved(tmp_path / "u.npy", updates), "--weights", saved(tmp_path / "w.npy", weights))
    out = tmp_path / "mean.npy"
    code, document = answered(*SMALL, *files, "--modulus-bits", "64", "--out", str(out), capsys=capsys)
    assert (code, document["exact"]) == (0, True)
    np.testing.assert_allclose(np.load(out), np.average(updates, axis=0, weights=weights), atol=4e-6)
    assert document["max_abs_error"] < 4e-6
    _, nearest = answered(*SMALL, *files, "--rounding", "nearest", capsys=capsys)
    _, again = answered("--clients", "10", "--dim", "6", "--seed", "4", *files, "--rounding", "nearest", capsys=capsys)
    assert nearest["aggregate_sha256"] == again["aggregate_sha256"]  # nothing is left to dice


def test_transcripts_are_written_and_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "record"
    code, document = answered(*SMALL, "--rounds", "2", "--transcript", str(folder), capsys=capsys)
    assert code == 0
    paths = [one["transcript"] for one in document["rounds"]]
    assert paths == [str(folder / "round-0001"), str(folder / "round-0002")]
    assert run(["secagg", "verify-transcript", *paths, "--json"]) == 0
    verified = json.loads(capsys.readouterr().out)
    assert verified["authenticity"] == "signed"
    for one, transcript in zip(document["rounds"], verified["transcripts"], strict=True):
        assert (transcript["aggregate"], transcript["aggregate_sha256"]) == ("equal", one["aggregate_sha256"])
        assert transcript["survivors"] == one["survivors"]


def test_digests_alone_are_incomplete_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "record"
    answered(*SMALL, "--transcript", str(folder), "--blobs", "digest", capsys=capsys)
    assert run(["secagg", "verify-transcript", str(folder / "round-0001"), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["transcripts"][0]["aggregate"] == "withheld"


@pytest.mark.parametrize(
    ("plant", "code"), [("share-digest", 1), ("split-view", 1), ("blob-digest", 4), ("key-reuse", 1)]
)
def test_planted_faults_are_found_by_the_next_command(
    plant: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds = ("--rounds", "2") if plant == "key-reuse" else ()
    given = (*SMALL, *rounds, "--plant", plant, "--transcript", str(tmp_path / "record"))
    assert answered(*given, capsys=capsys)[0] == 0
    paths = [str(path) for path in sorted((tmp_path / "record").iterdir())]
    assert run(["secagg", "verify-transcript", *paths, "--json"]) == code
    assert f'"{plant}"' in capsys.readouterr().out


def test_a_knob_ends_in_0_whatever_came_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, strict = answered(*SMALL, "--malice", "isolate", capsys=capsys)
    assert (code, strict["status"], strict["reason"]) == (0, "aborted", "too-few-survivors")
    assert strict["attack"]["refused"] is True
    assert {one["code"] for one in strict["attack"]["refusals"]} == {"too-few-survivors"}
    code, weak = answered(*SMALL, "--malice", "isolate", "--client", "weak", capsys=capsys)
    assert (code, weak["attack"]["refused"], weak["attack"]["leaked"]) == (0, False, True)
    code, split = answered(*SMALL, "--malice", "split-view", capsys=capsys)
    assert (code, split["attack"]["loosened"]) == (0, ["required_sigma"])
    code, dealt = answered(*SMALL, "--malice", "bad-dealing", capsys=capsys)
    assert (code, dealt["status"], dealt["blamed"]) == (0, "aborted", ["c00001"])


def test_an_aborted_honest_round_ends_in_3_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = answered(*SMALL, "--drop", "shares=8", capsys=capsys)
    assert (code, document["code"], document["status"]) == (3, "secagg.aborted", "aborted")
    assert document["reason"] in document["message"]
    weak = ("--clients", "60", "--dim", "4", "--degree", "4", "--threshold", "2")
    code, document = answered(*weak, "--corrupt-fraction", "0.1", capsys=capsys)
    assert (code, document["reason"]) == (3, "policy-degree")
    code, document = answered(*weak, "--require-sigma", "0", "--require-eta", "0", capsys=capsys)
    assert (code, document["exact"]) == (0, True)


def test_processes_give_the_same_document(capsys: pytest.CaptureFixture[str]) -> None:
    _, serial = answered(*SMALL, "--drop", "masked-input=2", capsys=capsys)
    _, process = answered(*SMALL, "--drop", "masked-input=2", "--executor", "process", capsys=capsys)
    for key in ("survivors", "aggregate_sha256", "max_abs_error", "upload_bytes"):
        assert serial[key] == process[key]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (("--clients", "1"), "--clients is 1; allowed is"),
        (("--dim", "0"), "--dim is 0; allowed is"),
        (("--corrupt-fraction", "1"), "--corrupt-fraction is 1.0; allowed is"),
        (("--dropout-fraction", "-0.1"), "--dropout-fraction is -0.1; allowed is"),
        (("--require-sigma", "-1"), "--require-sigma is -1.0; allowed is"),
        (("--degree", "3"), "--degree is 3; allowed is an even number from 2 to 8, or 9"),
        (("--degree", "10"), "--degree is 10; allowed is"),
        (("--degree", "4", "--threshold", "5"), "--threshold is 5; allowed is"),
        (("--threshold", "0"), "--threshold is 0; allowed is"),
        (("--levels", "4294967296"), "--levels is 4294967296; allowed is at most 429496729 for 32 bits, or 64 bits"),
        (("--levels", "0"), "--levels is 0; allowed is"),
        (("--clipping-range", "0"), "--clipping-range is 0.0; allowed is"),
        (("--clipping-range", "nan"), "--clipping-range is nan; allowed is"),
        (("--drop", "lunch=1"), "--drop is 'lunch=1'; allowed is PHASE=COUNT"),
        (("--drop", "shares=c00011"), "--drop is 'c00011'; allowed is ids of the cohort"),
        (("--drop", "shares=11"), "--drop is 11; allowed is at most 10"),
        (("--malice", "charm"), "--malice is 'charm'; allowed is one of low-threshold"),
        (("--plant", "charm"), "--plant is 'charm'; allowed is one of double-reveal"),
        (("--plant", "split-view"), "--plant writes a transcript"),
        (("--malice", "isolate", "--clients", "7"), "--clients is 7; with --malice 8 is the least"),
        (("--malice", "isolate", "--drop", "shares=1"), "exclude each other"),
        (("--max-weight", "3"), "--max-weight goes with --weights"),
    ],
)
def test_a_value_out_of_range_is_told_with_its_option_and_range(
    changes: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(*SMALL, *changes, capsys=capsys)
    assert told in line


def test_infeasible_fractions_end_in_3_with_the_nearest_that_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    asked = (*SMALL, "--corrupt-fraction", "0.5", "--dropout-fraction", "0.5")
    code, document = answered(*asked, capsys=capsys)
    assert (code, document["code"]) == (3, "secagg.infeasible")
    assert "nearest feasible drop-out fraction is 0.3" in document["hint"]


def nan_at(row: int, column: int) -> np.ndarray:
    updates = np.zeros((10, 6), np.float32)
    updates[row, column] = np.nan
    return updates


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (nan_at(4, 2), "row 4, element 2 is nan; allowed is a finite number"),
        (np.full((10, 6), np.inf, np.float32), "row 0, element 0 is inf"),
        (np.zeros((9, 6), np.float32), "it has shape (9, 6); allowed is one row a client, (10, 6)"),
        (np.zeros((10, 6), np.float16), "it holds float16; allowed is float32"),
        (np.zeros((10, 6), np.int64), "it holds int64; allowed is float32"),
        (np.array([{"a": 1}] * 10), "Python objects"),
    ],
)
def test_updates_that_are_none_are_told_by_row_and_index(
    array: np.ndarray, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(*SMALL, "--updates", saved(tmp_path / "u.npy", array), capsys=capsys)
    assert "u.npy" in line
    assert told in line


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"PK\x03\x04",
        b"\x80\x04N.",
        b"\x93NUMPY\x01\x00\x10\x00" + b"{" * 16,
        b"\x93NUMPY\x01\x00\x40\x00" + b"{'descr':'<f4','fortran_order':False,'shape':(10,6)}".ljust(64),
    ],
)
def test_a_file_that_is_no_array_is_refused(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "u.npy"
    path.write_bytes(content)
    for option in ("--updates", "--weights"):
        assert "u.npy" in refused(*SMALL, option, str(path), capsys=capsys)
    assert "there is no such file" in refused(*SMALL, "--updates", str(tmp_path / "none.npy"), capsys=capsys)


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        (np.array([1, 2, 0, *[1] * 7]), "row 2 is 0; allowed is a whole number from 1"),
        (np.array([1, -2, *[1] * 8]), "row 1 is -2"),
        (np.array([1.0, 1.5, *[1.0] * 8]), "row 1 is 1.5"),
        (np.array([1.0, np.nan, *[1.0] * 8]), "row 1 is nan"),
        (np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), "row 5 is 6; allowed is a whole number from 1 to 5"),
        (np.ones((10, 1), int), "it has shape (10, 1)"),
        (np.array(["1"] * 10), "allowed are whole numbers"),
    ],
)
def test_weights_that_are_none_are_told_by_row(
    weights: np.ndarray, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--weights", saved(tmp_path / "w.npy", weights), "--max-weight", "5")
    assert told in refused(*SMALL, *given, capsys=capsys)


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").write_text("x")
    assert "not an empty folder" in refused(*SMALL, "--transcript", str(tmp_path), capsys=capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    refused(*SMALL, "--transcript", str(tmp_path / "new"), "--drop", "shares=99", capsys=capsys)
    assert not (tmp_path / "new").exists()  # refused before anything is written


def test_a_real_process_prints_one_document_and_nothing_else() -> None:
    program = "from audit.cli.main import main; main()"
    line = ["secagg", "simulate", *SMALL, "--json"]
    done = subprocess.run([sys.executable, "-c", program, *line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["exact"] is True


def test_people_read_what_came_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["secagg", "simulate", *SMALL]) == 0
    assert "sum of 10 of 10, exact" in capsys.readouterr().out
    assert run(["secagg", "simulate", *SMALL, "--malice", "late-change"]) == 0
    assert "late-change: refused" in capsys.readouterr().out
    assert run(["secagg", "simulate", *SMALL, "--malice", "late-change", "--client", "weak"]) == 0
    assert "NOT refused, and the vector leaked" in capsys.readouterr().out
    assert run(["secagg", "simulate", *SMALL, "--drop", "shares=9"]) == 3
    assert "aborted: too-few-clients" in capsys.readouterr().out
