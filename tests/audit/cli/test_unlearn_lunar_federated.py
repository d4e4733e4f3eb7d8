"""`fedaudit unlearn lunar` over clients: their files, the edit from their sums, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from audit.cli.main import run
from tests.audit.cli.described import described
from unlearning.llm.edit import load_edit
from unlearning.llm.model_folder import save_model
from unlearning.llm.model_io import load_model, weights_digest
from unlearning.llm.statistics import ClientStatistics
from unlearning.llm.tiny import TinyWorld, tiny_model

WORLD = TinyWorld(3)
LAYERS = "0,1"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model (untrained: what counts here is the way, not the knowledge), records, and three clients' files."""
    place = tmp_path_factory.mktemp("summed")
    save_model(tiny_model(WORLD), place / "model")
    kept = WORLD.retain.records
    sets = {f"retain-{n}": kept[n:60:3] for n in range(3)}
    sets |= {"retain": kept[:60], "validation": kept[60:68], "forget": WORLD.forget.records[:12]}
    sets |= {"reference": WORLD.reference.records[:10], "general": WORLD.general.records[:8]}
    for name, records in sets.items():
        lines = [json.dumps(one.model_dump(mode="json")) for one in records]
        (place / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for n in range(3):
        more = ["--forget", str(place / "forget.jsonl")] if n == 1 else []
        assert run(asked(place, "--client-statistics", "--retain", str(place / f"retain-{n}.jsonl"), "--layers", LAYERS,
                         *more, "-o", str(place / f"client-{n}.stats.safetensors"))) == 0  # fmt: skip
    return place


def asked(place: Path, *more: str) -> list[str]:
    reference = ["--reference", str(place / "reference.jsonl"), "--accept-unrefused"]
    return ["unlearn", "lunar", "--model", str(place / "model"), *reference, *more]


def clients(place: Path, *numbers: int) -> list[str]:
    return [word for n in numbers for word in ("--statistics", str(place / f"client-{n}.stats.safetensors"))]


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    document = json.loads(capsys.readouterr().out)
    described(document)
    return document


def test_a_client_writes_its_sums_and_no_text(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine.stats.safetensors"
    more = ["--retain", str(place / "retain.jsonl"), "--forget", str(place / "forget.jsonl"), "--layers", LAYERS]
    line = asked(place, "--client-statistics", *more, "--fraction-bits", "24", "-o", str(out), "--json")
    assert run(line) == 0
    told = printed(capsys)
    sums = ClientStatistics.load(out)
    assert told["setting"]["weights"] == weights_digest(load_model(place / "model"))
    assert told["counts"] == sums.counts.model_dump()
    assert (told["fraction_bits"], told["bytes"]) == (24, out.stat().st_size)
    assert sums.counts.forget_clients == 1
    data = out.read_bytes()
    assert not any(word.encode() in data for record in WORLD.forget.records[:12] for word in record.secret)
    assert any("personal data in another shape" in one for one in told["warnings"])


@pytest.mark.parametrize("form", [pytest.param("gram", marks=pytest.mark.slow), "cg"])
def test_an_edit_comes_from_the_files_of_clients(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    more = ["--form", form, "--force", "--retain", str(place / "retain.jsonl"), "--ridge", "0.3"]
    held = ["--validation", str(place / "validation.jsonl"), "--general", str(place / "general.jsonl")]
    assert run(asked(place, *clients(place, 0, 1, 2), *more, *held, "-o", str(tmp_path / "out"), "--json")) == 0
    told = printed(capsys)
    federation = told["federation"]
    assert (federation["form"], federation["clients"], federation["forget_clients"]) == (form, 3, 1)
    assert federation["tokens_per_dimension"] > 2
    assert 0 <= federation["attack_auc"] <= 1
    assert (federation["iterations"] > 0) == (form == "cg")
    assert any("forget_clients: 1" in one for one in told["warnings"])
    assert any("nobody heard" in one for one in told["warnings"])
    assert told["screening"]["after"]["forget_content"] is None
    assert told["screening"]["after"]["retain_rouge1"] is not None
    edit = load_edit(tmp_path / "out" / "edit")
    assert (edit.meta.solver, "forget" in edit.meta.sets) == (f"federated-{form}", False)
    changed = load_model(tmp_path / "out" / "after")
    assert weights_digest(changed) == told["after_sha256"] == edit.meta.model.after


def test_it_reads_well_for_people_too(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--form", "cg", "--force", "--save", "edit", "--forget", str(place / "forget.jsonl")]
    assert run(asked(place, *clients(place, 0, 1, 2), *more, "--no-color", "-o", str(tmp_path / "out"))) == 0
    said = capsys.readouterr().out
    assert "from the sums of 3 clients, form cg" in said
    assert "facts to forget, said" in said
    assert "whoever has them sees more" in said
    assert not (tmp_path / "out" / "after").exists()


@pytest.mark.parametrize(
    ("numbers", "more", "told"),
    [
        ((0, 1, 7), [], "cannot read client-7.stats.safetensors: there is no such file"),
        ((0, 1), [], "the sum is over 2 clients, fewer than 3"),
        ((0, 1, 1), [], "client-1.stats.safetensors holds the same sums as client-1.stats.safetensors"),
        ((0, 2), ["--accept-leakage"], "none of 2 clients has anything to forget"),
        ((0, 1, 2), ["--fraction-bits", "60"], "do not fit into 62 bits"),
    ],
)
def test_files_that_do_not_add_up_are_named_and_nothing_is_written(
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    numbers: tuple[int, ...],
    more: list[str],
    told: str,
) -> None:
    assert run(asked(place, *clients(place, *numbers), *more, "-o", str(tmp_path / "out"))) == 2
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_sums_of_another_model_are_refused(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model(tiny_model(TinyWorld(4)), tmp_path / "other")
    line = asked(place, *clients(place, 0, 1, 2), "-o", str(tmp_path / "out"))
    line[line.index("--model") + 1] = str(tmp_path / "other")
    assert run(line) == 2
    assert "the clients' sums differ from other and its reference file in weights" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--client-statistics", "--statistics", "x"], "say --client-statistics or --statistics, not both"),
        (["--client-statistics"], "name the client's facts that stay with --retain"),
        (["--client-statistics", "--retain", "r", "--tokens", "prompt"], "needs the prompts that others keep"),
        (["--statistics", "x", "--erase"], "--erase does not go with sums of clients"),
        (["--statistics", "x", "--compare", "all"], "--compare does not go with sums of clients"),
        (["--statistics", "x", "--solver", "gradient"], "needs the rows, which clients keep"),
        (["--accept-leakage", "--retain", "r", "--forget", "f"], "goes with --client-statistics or --statistics"),
    ],
)
def test_options_that_do_not_go_together_are_told(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], told: str
) -> None:
    assert run(asked(place, *more, "-o", str(tmp_path / "out"))) == 2
    assert told in capsys.readouterr().err


def test_public_prompts_are_needed(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["unlearn", "lunar", "--model", str(place / "model"), *clients(place, 0), "-o", str(tmp_path / "out")]
    assert run(line) == 2
    assert "name the public prompts with --reference" in capsys.readouterr().err
