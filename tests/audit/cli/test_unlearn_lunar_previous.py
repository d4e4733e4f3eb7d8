"""`fedaudit unlearn lunar --previous`: one request after the other from the command line, and the way back."""

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

SETTING = ("--tokens", "refusal", "--ridge", "0.01", "--coefficient", "1.3", "--force")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def world() -> TinyWorld:
    return TinyWorld(5)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, world: TinyWorld) -> Path:
    """A folder with the records of a world, the forget set in two requests."""
    place = tmp_path_factory.mktemp("previous")
    parts = {
        "first": world.forget.records[:32], "second": world.forget.records[32:], "retain": world.retain.records[:40],
        "general": world.general.records[:16], "reference": world.reference.records[:16],
    }  # fmt: skip
    for name, records in parts.items():
        lines = [json.dumps(one.model_dump(mode="json", exclude_defaults=True)) for one in records]
        (place / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    save_model(tiny_model(world), place / "untrained")
    return place


def asked(place: Path, model: Path, forget: str, out: Path, *more: str) -> list[str]:
    files = [
        word for part in ("retain", "general", "reference") for word in (f"--{part}", str(place / f"{part}.jsonl"))
    ]
    forgotten = ["--forget", str(place / f"{forget}.jsonl")]
    return ["unlearn", "lunar", "--model", str(model), *forgotten, *files, "-o", str(out), "--json", *more]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--layers", "same"), "name the earlier edits with --previous"),
        (("--layers", "some"), "write auto, same, or layers"),
        (("--erase", "--previous", "edit"), "--previous does not go with --erase"),
        (("--erase", "--top-layers", "2"), "--top-layers does not go with --erase"),
        (("--statistics", "a", "--previous", "edit"), "--previous does not go with sums of clients"),
        (("--previous", "nowhere"), "nowhere"),
    ],
)
def test_options_that_do_not_go_together_are_told(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], words: str
) -> None:
    assert run(asked(place, place / "untrained", "first", tmp_path / "out", *more)) == 2
    assert words in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_two_requests_leave_edits_that_follow_each_other_and_the_last_comes_off(
    place: Path, world: TinyWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def done(*words: str) -> dict[str, Any]:
        assert run(list(words)) == 0, capsys.readouterr().out
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        described(told)
        return told

    save_model(train_tiny(world), tmp_path / "trained")
    one = done(*asked(place, tmp_path / "trained", "first", tmp_path / "1", *SETTING, "--layers", "0"))
    assert (one["requests"], one["previous"]) == (1, None)
    earlier = ("--previous", str(tmp_path / "1" / "edit"))
    after = tmp_path / "1" / "after"
    two = done(*asked(place, after, "second", tmp_path / "2", *SETTING, "--layers", "same", *earlier))
    assert two["requests"] == 2
    assert two["previous"] == json.loads((tmp_path / "1" / "edit" / "edit.json").read_text())["sha256"]
    assert [update["layer"] for update in two["updates"]] == [0]
    assert two["before_sha256"] == one["after_sha256"]
    back = ["unlearn", "lunar", "--revert", str(tmp_path / "2" / "edit"), "--model", str(tmp_path / "2" / "after")]
    done(*back, "-o", str(tmp_path / "back"), "--json")
    assert weights_digest(load_model(tmp_path / "back")) == one["after_sha256"]
    assert run(asked(place, tmp_path / "2" / "after", "second", tmp_path / "3", *SETTING, *earlier)) == 2
    assert "llm.digest" in capsys.readouterr().out  # the second edit is not named
