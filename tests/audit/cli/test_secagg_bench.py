"""`fedaudit secagg bench`: its document, its table, and what it says without Flower."""

import json
import sys
from pathlib import Path

import pytest

from audit.cli.main import run
from audit.cli.secagg_bench import table
from secagg.bench import Benchmark
from secagg.bench_points import SMALL
from secagg.bench_rows import Row, Target
from secagg.bench_stream import StreamRates
from secagg.measure import Measured

OURS, PEER = Measured(5.0, 0.01, 405_000, 1e-6, 60.0), Measured(40.0, 0.2, 807_000, None, None)


def test_the_table_shows_both_sides_and_the_missed_targets() -> None:
    row = Row(SMALL[0], SMALL[0].config(), OURS, PEER)
    targets = (Target.at_least("n=10: client", 8.0, 5), Target.at_least("n=10: server", 20.0, 21))
    text = "\n".join(table(Benchmark((row,), StreamRates(0.6, 0.5, 2.2), targets, {"name": "peer", "version": "1"})))
    for told in ("n=10 (k=9, t=7, dim 100000)", "8.0x", "20x", "0.5019x", "2.20 ms", "missed", "met", "peer 1"):
        assert told in text


def test_the_table_of_ours_alone_has_no_ratio() -> None:
    row = Row(SMALL[0], SMALL[0].config(), OURS)
    text = "\n".join(table(Benchmark((row,), StreamRates(0.6, 0.5, None), (), None)))
    assert "ratio" not in text
    assert "Flower" not in text


def test_without_flower_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "flwr"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "flwr", None)
    assert run(["secagg", "bench", "--repeats", "1", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["code"] == "secagg.no_peer"
    assert "--peer none" in document["hint"]


@pytest.mark.parametrize("wrong", [("--points", "huge"), ("--peer", "openfl"), ("--repeats", "0")])
def test_other_options_are_refused(wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["secagg", "bench", *wrong]) == 2
    assert wrong[0] in capsys.readouterr().err


@pytest.mark.slow
def test_the_document_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bench.json"
    assert run(["secagg", "bench", "--peer", "none", "--repeats", "1", "-o", str(path)]) == 0
    assert "n=10 (k=9, t=7, dim 100000)" in capsys.readouterr().out
    document = json.loads(path.read_bytes())
    assert document["schema"] == "fedaudit.secagg.bench/1"
    assert [point["clients"] for point in document["points"]] == [10, 30, 30]
    assert {"name", "value", "bound", "met"} == document["targets"][0].keys()
    ours = document["points"][0]["ours"]
    assert ours.keys() == {"client_ms", "server_s", "upload_bytes", "max_abs_error", "peak_rss_mib"}
