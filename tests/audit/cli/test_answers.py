"""Every command, run with `--json`: its one document is what the published schema of its answer says, key by key.

`attack run`, `unlearn`, `compliance assess` and the demonstration are held to theirs where they are tested.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from audit.cli.main import run
from reports.digests import file_sha256
from tests.audit.cli.ci_service import SYSTEM
from tests.audit.cli.described import described
from tests.audit.cli.gate_desk import NOW, Desk, finding

VECTORS = Path(__file__).parents[2] / "vectors/secagg"
SCORES = Path(__file__).parents[3] / "compliance/data/aireg_scores.json"
Told = Callable[..., dict[str, Any]]
SIMULATE = ("secagg", "simulate", "--clients", "6", "--dim", "8", "--seed", "3")


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """One command line: its document, which is described and whose exit code is that of the process."""

    def answered(*words: object, code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        found = run([*map(str, words), "--json"])
        document = json.loads(capsys.readouterr().out)
        assert found == document["exit_code"] == code, document
        described(document)
        return dict(document)

    return answered


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made.bundle()
    return made


def judging(desk: Desk, *more: str) -> Sequence[str]:
    folder = desk.folder
    trusted = ["--trust", str(folder / "trust.toml"), "--subject", str(folder / "model.bin"), "--now", NOW]
    return ["gate", str(folder / "bundle"), "--policy", str(folder / "policy.toml"), *trusted, *more]


def test_gate(desk: Desk, told: Told) -> None:
    threshold = '[[threshold]]\ncheck = "attack.*"\nmeasurement = "rate"\nop = "<="\nlimit = 0.002\n'
    assert told(*judging(desk))["result"] == "passed"
    assert told(*judging(desk, "--baseline", str(desk.folder / "bundle")))["baseline"]
    assert told("gate", "--lint", "--policy", desk.folder / "policy.toml")["result"] is None
    desk.write_policy((desk.folder / "policy.toml").read_text() + threshold)
    assert told(*judging(desk), code=3)["judgements"]
    desk.write_policy("version = 1\n")
    told(*judging(desk), code=2)
    (desk.folder / "model.bin").write_bytes(b"WEIGHTS")
    desk.write_policy('version = 1\nname = "n"\nfail_on = "low"\n')
    assert told(*judging(desk), code=4)["authentic"] is False


def test_a_failed_verdict(tmp_path: Path, told: Told) -> None:
    desk = Desk(tmp_path)
    desk.bundle(finding("attack.linear", "fail"))
    assert told(*judging(desk), code=1)["code"] == "gate.failed"


def test_verify(desk: Desk, told: Told) -> None:
    line = ["verify", desk.folder / "bundle", "--trust", desk.folder / "trust.toml", "--now", NOW]
    assert told(*line, "--subject", desk.folder / "model.bin")["signers"]
    assert told(*line, "--signature-only")["authentic"] is True
    assert told(*line, code=2)["faults"]
    (desk.folder / "model.bin").write_bytes(b"WEIGHTS")
    assert told(*line, "--subject", desk.folder / "model.bin", code=4)["faults"]


def test_show_render_and_compare(desk: Desk, tmp_path: Path, told: Told) -> None:
    bundle = desk.folder / "bundle"
    assert told("show", bundle)["findings"]
    assert len(told("show", bundle, "attack.linear")["findings"]) == 1
    plot = next(path for path in (bundle / "evidence").rglob("*.txt") if path.read_bytes() == b"plot")
    assert told("show", bundle, "--proof", file_sha256(plot))["proof"]["size"] == 2
    assert told("render", bundle, "--format", "sarif", "-o", tmp_path / "r.sarif")["bytes"]
    other = desk.bundle(finding("attack.linear", "fail"), finding("dp.accounting", "fail"), name="other", day=21)
    found = told("compare", bundle, other)
    assert found["changed"]
    assert found["added"]
    assert found["removed"]


def test_keygen_and_sign(desk: Desk, tmp_path: Path, told: Told) -> None:
    key = tmp_path / "provider.key"
    assert told("keygen", "-o", key, "--no-passphrase", "--algorithm", "ed25519")["encrypted"] is False
    assert len(told("sign", desk.folder / "bundle", "--key", key, "--role", "provider")["signatures"]) == 2
    told("keygen", "-o", key, "--no-passphrase", code=2)


def test_init_and_checks(tmp_path: Path, told: Told) -> None:
    assert told("init", tmp_path / "ward", "--ci", "gitlab")["written"]
    told("init", tmp_path / "ward", code=2)
    assert told("checks")["checks"]
    found = told("checks", "--system", tmp_path / "ward" / "system.toml")["checks"]
    assert any(one["missing"] for one in found)
    assert told("attack", "list", "--system", tmp_path / "ward" / "system.toml")["attacks"]


def test_run(tmp_path: Path, told: Told) -> None:
    (tmp_path / "system.toml").write_text(SYSTEM)
    line = ("run", tmp_path / "system.toml", "-o", tmp_path / "bundle", "--only", "integrity.artifacts")
    assert told(*line, "--effort", "smoke")["counts"]["pass"] == 1
    told(*line, code=2)


def test_attack_run(tmp_path: Path, told: Told) -> None:
    (tmp_path / "system.toml").write_text(SYSTEM)
    assert told("attack", "run", tmp_path / "system.toml", "integrity.artifacts")["findings"]


def test_secure_aggregation(told: Told) -> None:
    assert told("secagg", "params", "--clients", "100")["feasible"]
    told("secagg", "params", "--clients", "3", "--corrupt-fraction", "0.9", code=3)
    assert told("secagg", "assess", "--clients", "100", "--degree", "12", "--threshold", "7")["sufficient"]
    told("secagg", "assess", "--clients", "100", "--degree", "4", "--threshold", "4", code=1)
    assert told(*SIMULATE)["exact"]
    assert told(*SIMULATE, "--rounds", "2")["rounds"]
    assert told("secagg", "verify-transcript", VECTORS / "transcript-a", VECTORS / "transcript-b")["transcripts"]


@pytest.mark.slow
def test_the_race(told: Told) -> None:
    assert told("secagg", "bench", "--peer", "none", "--repeats", "1")["points"]


def test_the_law(tmp_path: Path, told: Told) -> None:
    (tmp_path / "system.toml").write_text(SYSTEM)
    assert told("compliance", "controls", "--match", "EU-AIA:15*")["controls"]
    assert told("compliance", "controls", "--all", "-o", tmp_path / "duties.txt")["output"]
    assert len(told("compliance", "controls", "--cite", "Article 15", "--cite", "Art. 999")["citations"]) == 2
    assert told("compliance", "annex-iv", tmp_path / "system.toml")["sections"]
    assert told("compliance", "calibrate", "--scores", SCORES, "--rater", "GPT-4o")["output"] is None


def test_a_key_that_nobody_described_is_noticed(told: Told, tmp_path: Path) -> None:
    document = told("init", tmp_path / "ward")
    for wrong in ({"more": 1}, {"written": 1}, {"exit_code": 5}):
        with pytest.raises(jsonschema.ValidationError):
            described(document | wrong)
