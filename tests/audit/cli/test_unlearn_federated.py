"""`fedaudit unlearn federated`: the folder it leaves, the document it prints, and when it refuses."""

import json
import pickle
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.cli.main import run
from unlearning.federated.methods import METHODS
from unlearning.federated.transcript import verify_transcript

Unlearn = Callable[..., tuple[int, dict[str, Any]]]
HOUSE = {"fedaudit", "command", "exit_code", "code", "message", "hint"}
PLAN_KEYS = {"needs", "conflicts", "storage_bytes", "feasible"}
ROW_KEYS = {
    "method", "accuracy", "probe_rate", "js_ratio", "residual_share", "u_lira_auc", "work_ratio", "status",
}  # fmt: skip


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def resave(file: Path, **changed: Any) -> None:
    with np.load(file) as arrays:
        np.savez(file, **{**arrays, **changed})


def test_the_document_has_every_key_and_the_folder_every_file(unlearn: Unlearn, forgetful, tmp_path: Path) -> None:
    forgetful.out()
    code, told = unlearn("federated", forgetful.folder, "--request", "client:0", "-o", tmp_path / "out")
    assert (code, told["code"], told["command"]) == (0, "ok", "unlearn federated")
    assert set(told) == HOUSE | {
        "method", "request", "parameters", "seed", "before_sha256", "after_sha256", "progress", "warnings", "work",
        "accuracy", "probe_rate", "loss", "rounds", "capped_share", "files", "plan", "comparison",
    }  # fmt: skip
    assert {"kind", "targets", "examples"} <= set(told["request"])
    assert (told["request"]["kind"], told["request"]["targets"], told["request"]["examples"]) == ("client", [0], 12)
    assert set(told["work"]) == {"example_gradients", "teacher_forwards", "retrain_example_gradients", "ratio"}
    assert set(told["accuracy"]) == {"before", "after"}
    assert all(set(rates) == {"retain", "forget", "test"} for rates in told["accuracy"].values())
    assert set(told["probe_rate"]) == {"before", "after"}
    assert set(told["loss"]) == {"forget", "twin"}
    assert {"max", "min", "post"} <= set(told["rounds"])
    assert set(told["plan"]) == PLAN_KEYS
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert set(told["files"].values()) == files
    assert files >= {
        "before.safetensors", "after.safetensors", "transcript.jsonl", "forget.npz", "retain.npz", "twin.npz",
        "test.npz", "probes.npz", "federation.toml", "result.json", "system.toml",
    }  # fmt: skip


def test_the_document_is_the_result_file_and_its_digests_are_the_files(unlearn: Unlearn, forgetful, tmp_path) -> None:
    out = tmp_path / "out"
    _, told = unlearn("federated", forgetful.folder, "--request", "sample:1=0-3", "--method", "finetune", "-o", out)
    written = json.loads((out / "result.json").read_text())
    assert written == {key: value for key, value in told.items() if key not in HOUSE}
    for when in ("before", "after"):
        assert told[f"{when}_sha256"] == sha256((out / f"{when}.safetensors").read_bytes()).hexdigest()
    assert verify_transcript(out / "transcript.jsonl") == ()
    assert told["work"]["ratio"] == told["work"]["retrain_example_gradients"] / told["work"]["example_gradients"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--request", "client:9"], ["no client 9", "0-3"]),
        (["--request", "class:7"], ["class 7", "0-2"]),
        (["--request", "sample:1=0-99"], ["no example 99", "0-11"]),
        (["--request", "everything"], ["'everything'", "client:4", "class:3"]),
        (["--request", "client:0", "--method", "magic"], ["'magic'", *METHODS]),
        (["--request", "client:0", "--divergence", "euclid"], ["'euclid'", "reverse-kl", "alpha"]),
        (["--request", "client:0", "--set", "speed=3"], ["'speed'", "lr_max", "tol"]),
        (["--request", "client:0", "--method", "retrain", "--set", "alpha=1"], ["'alpha'"]),
        (["--request", "client:0", "--set", "alpha"], ["'alpha' is no key=value"]),
        (["--request", "client:0", "--reset", "later"], ["reset", "later"]),
        (["--request", "client:0", "--offline", "9"], ["no client 9", "0-3"]),
        (["--request", "client:0", "--offline", "x"], ["2,5"]),
        (["--request", "client:0", "--compare", "retrain,magic"], ["'magic'", "rapid-retrain"]),
        (["--request", "client:0-3"], ["nothing would be left"]),
        (["--request", "class:0,1,2"], ["nothing would be left"]),
    ],
)
def test_an_unknown_name_is_exit_2_and_says_the_allowed_ones(
    unlearn: Unlearn, new_federation: Path, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    code, told = unlearn("federated", new_federation, *arguments, "-o", tmp_path / "out")
    assert code == 2
    for word in words:
        assert word in f"{told['message']} {told['hint']}"
    assert not (tmp_path / "out").exists()
    assert not (new_federation / "recording").exists()


def test_a_federation_that_is_not_there_is_exit_2(unlearn: Unlearn, tmp_path: Path) -> None:
    for target in (tmp_path, tmp_path / "none.toml"):
        code, told = unlearn("federated", target, "--request", "client:0", "-o", tmp_path / "out")
        assert (code, "there is no such file" in told["message"]) == (2, True)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rounds = 4", "rounds = 4\nspeed = 2", ["training.speed"]),
        ("rounds = 4", 'rounds = "four"', ["training.rounds"]),
        ('"test.npz"', '"../test.npz"', ["data.test"]),
        ('"test.npz"', '"tset.npz"', ["data.test", "tset.npz"]),
        ("fedaudit.federation/1", "fedaudit.federation/2", ["schema"]),
    ],
)
def test_a_wrong_key_of_the_federations_file_is_named_with_the_file(
    unlearn: Unlearn, new_federation: Path, tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    np.savez(tmp_path / "test.npz", x=np.zeros((1, 6), np.float32), y=np.zeros(1, np.int64))
    edit(new_federation / "federation.toml", old, new)
    code, told = unlearn("federated", new_federation, "--request", "client:0", "-o", tmp_path / "out")
    assert code == 2
    for word in ("federation.toml", *words):
        assert word in told["message"]
    assert told["hint"]


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"x": np.full((30, 6), np.nan, np.float32)}, "NaN"),
        ({"y": np.full(30, -1)}, "-1"),
        ({"y": np.full(30, 3)}, "3"),
        ({"y": np.zeros(29, np.int64)}, "29 labels"),
        ({"y": np.array([None] * 30)}, "pickle"),
    ],
)
def test_a_broken_file_of_examples_is_named_with_its_key(
    unlearn: Unlearn, new_federation: Path, tmp_path: Path, changed: dict[str, Any], word: str
) -> None:
    resave(new_federation / "test.npz", **changed)
    code, told = unlearn("federated", new_federation, "--request", "client:0", "-o", tmp_path / "out")
    assert code == 2
    assert "federation.toml: data.test" in told["message"]
    assert word in f"{told['message']} {told['hint']}"


def test_a_pickle_that_calls_itself_npz_is_never_loaded(unlearn: Unlearn, new_federation: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(tmp_path / "it-ran"), "w"))

    (new_federation / "test.npz").write_bytes(pickle.dumps(Trap()))
    code, told = unlearn("federated", new_federation, "--request", "client:0", "-o", tmp_path / "out")
    assert code == 2
    assert "data.test" in told["message"]
    assert not (tmp_path / "it-ran").exists()
    pickle.loads((new_federation / "test.npz").read_bytes()).close()  # the control: the sentinel works
    assert (tmp_path / "it-ran").exists()


def with_secure_aggregation(folder: Path) -> Path:
    with (folder / "federation.toml").open("a") as file:
        file.write("[secure_aggregation]\nenabled = true\nminimum_group = 2\n")
    return folder


@pytest.mark.parametrize("method", ["ffum", "ascent", "projected-ascent", "federaser", "distillation"])
def test_what_secure_aggregation_forbids_is_refused_with_what_would_work(
    unlearn: Unlearn, new_federation: Path, tmp_path: Path, method: str
) -> None:
    folder = with_secure_aggregation(new_federation)
    arguments = ["--request", "client:0", "--method", method, "-o", tmp_path / "out"]
    code, told = unlearn("federated", folder, *arguments)
    assert (code, told["code"]) == (2, "unlearning.conflict")
    assert "secure aggregation" in told["message"]
    assert "rapid-retrain" in told["hint"]
    assert method not in told["hint"].replace(".", "").split("work: ")[1].split(", ")


def test_what_the_refusal_names_does_work(unlearn: Unlearn, new_federation: Path, tmp_path: Path) -> None:
    folder = with_secure_aggregation(new_federation)
    arguments = ["--request", "client:0", "-o", tmp_path / "out"]
    _, told = unlearn("federated", folder, *arguments)
    for method in told["hint"].removeprefix("These would work: ").removesuffix(".").split(", "):
        code, made = unlearn("federated", folder, *arguments[:2], "--method", method, "-o", tmp_path / method)
        assert (code, made["method"]) == (0, method)


def test_a_single_delta_that_the_owner_accepts_stands_among_the_warnings(
    unlearn: Unlearn, new_federation: Path, tmp_path: Path
) -> None:
    folder = with_secure_aggregation(new_federation)
    code, told = unlearn(
        "federated", folder, "--request", "client:0", "--accept-single-client-delta", "-o", tmp_path / "out"
    )
    assert code == 0
    assert any("sum of their own" in warning for warning in told["warnings"])


def test_federaser_without_stored_updates_is_refused(unlearn: Unlearn, new_federation: Path, tmp_path: Path) -> None:
    edit(new_federation / "federation.toml", 'client_updates = "all"', 'client_updates = "none"')
    arguments = ["--request", "client:0", "--method", "federaser", "-o", tmp_path / "out"]
    code, told = unlearn("federated", new_federation, *arguments)
    assert (code, told["code"]) == (2, "unlearning.conflict")
    assert "federaser" in told["message"]
    assert "finetune" in told["hint"]


def test_a_forget_client_that_is_offline_leaves_fine_tuning_and_a_warning(
    unlearn: Unlearn, forgetful, tmp_path: Path
) -> None:
    code, told = unlearn(
        "federated", forgetful.folder, "--request", "client:0", "--offline", "0", "-o", tmp_path / "out"
    )
    assert (code, told["progress"], told["rounds"]["max"]) == (0, "degraded", 0)
    assert any("fine-tuning only" in warning for warning in told["warnings"])


def test_a_request_that_was_honoured_already_gives_the_same_model_and_says_so(
    unlearn: Unlearn, forgetful, tmp_path: Path
) -> None:
    arguments = ["federated", forgetful.folder, "--request", "client:1", "--method", "retrain"]
    first, second = (unlearn(*arguments, "-o", tmp_path / name) for name in ("one", "two"))
    assert (first[0], second[0]) == (0, 0)
    assert first[1]["after_sha256"] == second[1]["after_sha256"]
    assert first[1]["message"] == ""
    assert "already done" in second[1]["message"]
    _, other = unlearn(*arguments, "--seed", "99", "-o", tmp_path / "three")
    assert (other["message"], other["after_sha256"] == first[1]["after_sha256"]) == ("", False)


def test_a_max_phase_that_diverges_twice_is_exit_3_and_leaves_nothing(
    unlearn: Unlearn, forgetful, tmp_path: Path
) -> None:
    code, told = unlearn(
        "federated", forgetful.folder, "--request", "client:0", "--divergence", "chi2", "--set", "lr_max=1e38",
        "--set", "clip_max=1e38", "-o", tmp_path / "out",
    )  # fmt: skip
    assert (code, told["code"]) == (3, "unlearning.diverged")
    assert "round 5" in told["message"]
    assert "lr_max" in told["hint"]
    assert [path for path in tmp_path.iterdir() if "out" in path.name] == []


def test_a_plan_trains_and_writes_nothing(unlearn: Unlearn, new_federation: Path) -> None:
    before = sorted(new_federation.rglob("*"))
    code, told = unlearn("federated", new_federation, "--request", "client:0", "--plan")
    assert code == 0
    assert set(told["plan"]) >= PLAN_KEYS | {"messages", "work"}
    assert told["plan"]["feasible"] is True
    code, told = unlearn("federated", new_federation, "--request", "client:0", "--method", "federaser", "--plan")
    assert (code, told["plan"]["feasible"]) == (0, True)
    assert "stored-updates" in told["plan"]["needs"]
    assert told["plan"]["storage_bytes"] == (1 + 4 + 4 * 4) * 4 * (6 * 5 + 5 + 5 * 3 + 3)  # models and updates kept
    folder = with_secure_aggregation(new_federation)
    code, told = unlearn("federated", folder, "--request", "client:0", "--method", "federaser", "--plan")
    assert (code, told["plan"]["feasible"]) == (0, False)
    assert sorted(new_federation.rglob("*")) == before


@pytest.mark.parametrize("place", ["full", "file", "below-a-file", "recording", "recording/out", "federation"])
def test_a_place_that_cannot_take_a_folder_is_exit_2_before_anything_is_trained(
    unlearn: Unlearn, new_federation: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("keep")
    (tmp_path / "file").write_text("keep")
    inside = {"recording": "recording", "recording/out": "recording/out", "federation": ""}
    named = new_federation / inside[place] if place in inside else tmp_path / place.replace("below-a-file", "file/out")
    code, told = unlearn("federated", new_federation, "--request", "client:0", "-o", named)
    assert (code, told["code"]) == (2, "unlearning.folder")
    assert not (new_federation / "recording").exists()
    assert ((tmp_path / "full" / "mine").read_text(), (tmp_path / "file").read_text()) == ("keep", "keep")


def test_an_empty_folder_is_filled_and_stays_the_same_folder(
    unlearn: Unlearn, forgetful, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mounted folder cannot be replaced, and whoever stands in one should find the files there."""
    out = tmp_path / "out"
    (out / ".partial").mkdir(parents=True)  # left by a process that was killed
    (out / ".partial" / "half").write_text("")
    number = out.stat().st_ino
    forgetful.out()
    monkeypatch.chdir(out)
    code, told = unlearn("federated", forgetful.folder, "--request", "client:0", "--method", "retrain", "-o", ".")
    assert code == 0
    assert out.stat().st_ino == number
    assert {path.name for path in out.iterdir()} == set(told["files"].values())
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out"]


def test_folders_above_are_made_and_no_output_is_asked_for(unlearn: Unlearn, forgetful, tmp_path: Path) -> None:
    forgetful.out()
    arguments = ["federated", forgetful.folder, "--request", "client:0", "--method", "finetune"]
    code, _ = unlearn(*arguments, "-o", tmp_path / "a" / "b" / "out")
    assert code == 0
    assert (tmp_path / "a" / "b" / "out" / "system.toml").is_file()
    code, told = unlearn(*arguments)
    assert (code, told["code"]) == (2, "usage")
    assert "-o OUT" in told["message"]


def test_a_recording_of_another_training_is_refused(unlearn: Unlearn, new_federation: Path, tmp_path: Path) -> None:
    arguments = ["federated", new_federation, "--request", "client:0", "--method", "rewind", "-o"]
    assert unlearn(*arguments, tmp_path / "one")[0] == 0
    edit(new_federation / "federation.toml", "seed = 7", "seed = 8")
    code, told = unlearn(*arguments, tmp_path / "two")
    assert (code, told["code"]) == (2, "unlearning.recording")
    assert "another recipe" in told["message"]
    edit(new_federation / "federation.toml", "seed = 8", "seed = 7")
    (new_federation / "recording" / "honoured.json").write_text("[")
    code, told = unlearn(*arguments, tmp_path / "two")
    assert (code, "recording/honoured.json" in told["message"]) == (2, True)
    (new_federation / "recording" / "honoured.json").unlink()
    (new_federation / "recording" / "round-0001" / "global.safetensors").unlink()
    code, told = unlearn(*arguments, tmp_path / "three")
    assert (code, "round-0001/global.safetensors" in told["message"]) == (2, True)


def test_the_owners_code_builds_the_model_only_if_somebody_says_so(
    unlearn: Unlearn, new_federation: Path, tmp_path: Path
) -> None:
    sentinel = tmp_path / "it-ran"
    (new_federation / "model.py").write_text(
        f"from torch import nn\nopen({str(sentinel)!r}, 'w').close()\n"
        "def build():\n    return nn.Sequential(nn.Linear(6, 4), nn.GELU(), nn.Linear(4, 3))\n"
    )
    edit(
        new_federation / "federation.toml", 'architecture = "mlp"\nhidden = 5',
        'architecture = "definition"\ndefinition = "model.py:build"',
    )  # fmt: skip
    out = tmp_path / "out"
    arguments = ["federated", new_federation, "--request", "client:0", "--method", "rapid-retrain", "-o", out]
    code, told = unlearn(*arguments)
    assert (code, sentinel.exists()) == (2, False)
    assert "--trust-code" in told["message"] + told["hint"]
    assert unlearn(*arguments, "--trust-code")[0] == 0
    sentinel.unlink()
    code, told = unlearn("verify", out, "--effort", "smoke")
    assert (code, sentinel.exists()) == (2, False)
    assert "--trust-code" in told["hint"]
    code, told = unlearn("verify", out, "--effort", "smoke", "--trust-code")
    assert (code, told["reference"]["models"]) == (0, 4)


def test_a_comparison_has_a_row_a_method_and_is_added_to_the_result(
    unlearn: Unlearn, forgetful, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, told = unlearn(
        "federated", forgetful.folder, "--request", "client:0", "--method", "rapid-retrain", "-o", out,
        "--compare", "rapid-retrain,no-op", "--models", "4",
    )  # fmt: skip
    assert code == 0
    assert [row["method"] for row in told["comparison"]] == ["rapid-retrain", "no-op"]
    assert all(set(row) == ROW_KEYS for row in told["comparison"])
    rows = {row["method"]: row for row in told["comparison"]}
    assert rows["rapid-retrain"]["status"] == "pass"  # it was run again to the byte
    assert rows["no-op"]["status"] != "pass"
    assert rows["no-op"]["work_ratio"] is None
    assert rows["rapid-retrain"]["accuracy"] == told["accuracy"]["after"]["test"]
    assert json.loads((out / "result.json").read_text())["comparison"] == told["comparison"]
    code, verified = unlearn("verify", out, "--only", "transcript")  # the folder is still what was audited
    assert (code, verified["findings"][0]["status"]) == (0, "pass")


def test_a_rival_that_conflicts_is_told_and_not_run(unlearn: Unlearn, new_federation: Path, tmp_path: Path) -> None:
    code, told = unlearn(
        "federated", with_secure_aggregation(new_federation), "--request", "client:0", "--method", "finetune",
        "-o", tmp_path / "out", "--compare", "federaser", "--models", "3",
    )  # fmt: skip
    assert code == 0
    assert told["comparison"] == [{**dict.fromkeys(ROW_KEYS), "method": "federaser", "status": "conflict"}]


@pytest.mark.slow
def test_all_methods_compare_alike_on_worker_processes(unlearn: Unlearn, forgetful, tmp_path: Path) -> None:
    arguments = ["federated", forgetful.folder, "--request", "client:0", "--compare", "all", "--models", "19"]
    tables = [
        unlearn(*arguments, "--executor", executor, "-o", tmp_path / executor)[1]["comparison"]
        for executor in ("serial", "process")
    ]
    assert [row["method"] for row in tables[0]] == list(METHODS)
    assert all(row["u_lira_auc"] is not None for row in tables[0])
    assert tables[0] == tables[1]


def test_people_are_told_what_it_cost_how_the_rivals_do_and_how_to_verify(
    new_federation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(new_federation / "federation.toml", 'client_updates = "all"', 'client_updates = "none"')
    arguments = ["--request", "client:0", "--method", "no-op", "-o", str(tmp_path / "out")]
    arguments += ["--compare", "no-op,federaser", "--models", "3"]
    assert run(["unlearn", "federated", str(new_federation), *arguments]) == 0
    out, err = capsys.readouterr()
    assert "no-op client:0: no work" in out
    assert "warning: nothing was done" in out
    assert [line.split()[-1] for line in out.splitlines() if line.startswith("federaser ")] == ["conflict"]
    assert f"fedaudit unlearn verify {tmp_path / 'out'}" in out
    assert "training the federation" in err
    assert "federaser: federaser needs clients' updates" in " ".join(err.split())


def test_people_read_a_plan_and_what_would_work_instead(
    new_federation: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["unlearn", "federated", str(new_federation), "--request", "client:0", "--plan"]
    assert run([*arguments, "--method", "rapid-retrain"]) == 0
    assert "can be run" in capsys.readouterr().out
    with_secure_aggregation(new_federation)
    assert run([*arguments, "--method", "ascent"]) == 0
    out = capsys.readouterr().out
    assert "cannot be run" in out
    assert "instead" in out
    assert run([*arguments, "--accept-single-client-delta"]) == 0
    assert "accepted" in capsys.readouterr().out
