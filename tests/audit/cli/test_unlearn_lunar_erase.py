"""`fedaudit unlearn lunar --erase`: what it writes, what it says, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from audit.cli.main import run
from tests.audit.cli.described import described
from unlearning.llm.model_folder import save_model
from unlearning.llm.model_io import load_model, weights_digest
from unlearning.llm.tiny import TinyWorld, tiny_model, train_tiny

PARTS = ("forget", "retain", "reference", "general", "decoys")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def world() -> TinyWorld:
    return TinyWorld(5)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, world: TinyWorld) -> Path:
    """A folder with the records of a world, and an untrained model."""
    place = tmp_path_factory.mktemp("erase")
    for part in PARTS:
        lines = [json.dumps(one.model_dump(mode="json", exclude_defaults=True)) for one in getattr(world, part)]
        (place / f"{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    save_model(tiny_model(world), place / "untrained")
    return place


def asked(place: Path, model: str, out: Path, *more: str) -> list[str]:
    files = [word for part in PARTS[:-1] for word in (f"--{part}", str(place / f"{part}.jsonl"))]
    return ["unlearn", "lunar", "--model", str(place / model), *files, "-o", str(out), "--json", *more]


def test_options_of_erasing_are_for_erasing(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(asked(place, "untrained", tmp_path / "out", "--reset", "0.5")) == 2
    assert "--reset is for --erase" in capsys.readouterr().out
    assert run(asked(place, "untrained", tmp_path / "out", "--erase", "--reset", "0")) == 2


def test_of_a_model_that_knows_nothing_nothing_is_erased(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(asked(place, "untrained", tmp_path / "out", "--erase")) == 3
    assert "there is nothing to forget" in "".join(capsys.readouterr())
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_erasure_leaves_a_model_and_says_what_it_did_without_a_fact(
    place: Path, world: TinyWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(train_tiny(world), place / "trained")
    decoys = ("--decoys", str(place / "decoys.jsonl"))
    assert run(asked(place, "trained", tmp_path / "out", "--erase", *decoys, "--seed", "1")) == 0
    said = capsys.readouterr()
    told: dict[str, Any] = json.loads(said.out)
    described(told)
    assert (told["method"], told["updates"], told["reference"]) == ("lunar-erase", [], {"given": 96, "refused": 96})
    assert told["erase"]["reset"] == 0.7
    assert told["erase"]["tries"][-1]["left"] == ""
    before, after = told["screening"]["before"], told["screening"]["after"]
    assert before["forget_content"] >= 0.9
    assert max(after["forget_content"], after["paraphrase_content"]) <= 0.05
    assert after["retain_rouge1"] >= 0.95 * before["retain_rouge1"]
    assert told["after_sha256"] == weights_digest(load_model(tmp_path / "out" / "after")) != told["before_sha256"]
    assert told["before_sha256"] == weights_digest(load_model(place / "trained"))
    secrets = {word for record in world.forget for word in record.secret}
    assert not any(secret in said.out + said.err for secret in secrets)
