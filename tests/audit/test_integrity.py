"""`integrity.artifacts`: a tampered file, a file that changes under the run, and tensors of another model are told."""

import hashlib
import json
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from audit.fit import fits, named_digests
from audit.integrity import artifacts
from audit.manifest import load_system
from audit.tamper import artifacts_of, digests_now, notices_one_byte
from reports.check import Context, Options
from reports.digests import artifact_sha256
from reports.model import Confidentiality, Effort, Evidence, Finding, Status, System

MODEL = {"0.weight": torch.zeros(3, 2), "0.bias": torch.zeros(3), "1.running_mean": torch.zeros(3)}
GRADIENT = {name: MODEL[name] for name in ("0.weight", "0.bias")}


class NoEvidence:
    """This check keeps none."""

    def put_evidence(self, data: bytes, media_type: str, confidentiality: Confidentiality, name: str) -> Evidence:
        raise AssertionError


SYSTEM = """
[system]
name = "ward-triage"
version = "1"
[model]
checkpoint = "model.safetensors"
[[updates]]
path = "u0.safetensors"
kind = "gradient"
truth = "t0.npz"
[[updates]]
path = "u1.safetensors"
kind = "delta"
base = "base.safetensors"
[[documents]]
path = "card.md"
kind = "technical-documentation"
"""


def written(folder: Path, text: str = SYSTEM, **digests: str) -> Path:
    """Write a sound system and return its file."""
    save_file(MODEL, folder / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in MODEL.items()}, folder / "base.safetensors")
    save_file(GRADIENT, folder / "u0.safetensors")
    save_file(GRADIENT, folder / "u1.safetensors")
    np.savez(folder / "t0.npz", x=np.zeros((1, 2)), y=np.zeros(1, dtype=np.int64))
    (folder / "card.md").write_text("# Ward triage")
    table = "".join(f'"{path}" = "{sha256}"\n' for path, sha256 in digests.items())
    (folder / "system.toml").write_text(text + (f"[digests]\n{table}" if table else ""))
    return folder / "system.toml"


def context(system: System, folder: Path, expected: dict[str, str] | None = None) -> Context:
    return Context(
        check=artifacts,
        system=system,
        seed=1,
        effort=Effort.SMOKE,
        folder=folder,
        now=datetime(2026, 11, 21, tzinfo=UTC),
        store=NoEvidence(),
        options=Options(expected_digests=expected or {}),
    )


def ask(file: Path, between: Any = None) -> Finding:
    """Load, let `between` happen as if during the run, and ask."""
    loaded = load_system(file)
    if between:
        between(loaded.folder)
    [finding] = artifacts.ask(loaded.system, context(loaded.system, loaded.folder, dict(loaded.expected_digests)))
    return finding


def figures(finding: Finding) -> dict[str, float]:
    return {measurement.name: measurement.value for measurement in finding.measurements}


def all_digests(folder: Path) -> dict[str, str]:
    written(folder)
    return {path.name: artifact_sha256(path) for path in folder.iterdir() if path.name != "system.toml"}


def test_sound_files_with_digests_pass_without_a_reservation(tmp_path: Path) -> None:
    finding = ask(written(tmp_path, **all_digests(tmp_path)))
    assert finding.status is Status.PASS
    assert (finding.strength, finding.basis, finding.limitations) == ("exact", "recorded", ())
    assert figures(finding) == {"files_at_fault": 0, "files_checked": 7}
    assert "3 fit the model" in finding.summary


def test_without_digests_a_pass_says_only_that_files_held_still(tmp_path: Path) -> None:
    finding = ask(written(tmp_path))
    assert finding.status is Status.PASS
    assert "held still" in finding.summary
    assert "[digests]" not in finding.summary
    assert any("not that they are the right ones" in said for said in finding.limitations)


def test_a_table_that_names_some_files_says_how_many(tmp_path: Path) -> None:
    some = {"card.md": all_digests(tmp_path)["card.md"]}
    finding = ask(written(tmp_path, **some))
    assert finding.status is Status.PASS
    assert finding.limitations == ("[digests] names 1 of the 6 declared files; the others only held still.",)


def test_one_flipped_bit_of_any_file_is_told_by_its_name(tmp_path: Path) -> None:
    digests = all_digests(tmp_path)
    for name in digests:
        file = written(tmp_path, **digests)
        content = bytearray((tmp_path / name).read_bytes())
        content[-1] ^= 1  # data, not header: the file still loads
        if name.endswith(".npz"):
            continue  # the end of a zip is its directory: refused on load
        (tmp_path / name).write_bytes(content)
        finding = ask(file)
        assert finding.status is Status.FAIL
        assert finding.summary == f"{name} is not the file that [digests] names."
        assert figures(finding)["files_at_fault"] == 1
        assert finding.remedy is not None


@pytest.mark.parametrize("name", ["model.safetensors", "u1.safetensors", "t0.npz", "card.md", "system.toml"])
def test_a_file_that_changes_during_the_run_is_told(tmp_path: Path, name: str) -> None:
    def append(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes() + b"\n")

    finding = ask(written(tmp_path), append)
    assert finding.status is Status.FAIL
    assert finding.summary == f"{name} changed during the run."
    assert ask(written(tmp_path)).status is Status.PASS  # the sound twin


def test_a_file_that_vanishes_is_told_and_several_are_counted(tmp_path: Path) -> None:
    def remove(folder: Path) -> None:
        for name in ("card.md", "t0.npz", "model.safetensors"):
            (folder / name).unlink()

    finding = ask(written(tmp_path), remove)
    assert finding.status is Status.FAIL
    assert finding.summary == "card.md is not there; 2 other files are at fault."
    assert len(finding.detail.splitlines()) == 3


def test_a_digest_for_a_file_that_is_not_there_or_outside_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "system"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("x")
    for path, said in (("lost.md", "is not there"), ("../secret.txt", "lies outside the folder of the system file")):
        finding = ask(written(folder, **{path: "0" * 64}))
        assert finding.status is Status.FAIL
        assert finding.summary == f"{path} {said}."


def test_a_folder_is_one_artifact(tmp_path: Path) -> None:
    text = SYSTEM.replace('"model.safetensors"', '"model"')
    (tmp_path / "model").mkdir()
    save_file(MODEL, tmp_path / "model" / "model.safetensors")
    (tmp_path / "model" / "config.json").write_text("{}")
    assert ask(written(tmp_path, text)).status is Status.PASS
    finding = ask(written(tmp_path, text), lambda folder: (folder / "model" / "extra.txt").write_text("x"))
    assert finding.summary == "model changed during the run."


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"0.weight": torch.zeros(3, 2), "0.extra": torch.zeros(1)}, "holds the tensor '0.extra', which"),
        ({"0.weight": torch.zeros(2, 3)}, "holds '0.weight' of shape [2, 3], in model.safetensors it is [3, 2]"),
        ({}, "holds no tensor of model.safetensors"),
    ],
)
def test_an_update_of_another_model_is_told(tmp_path: Path, tensors: dict[str, torch.Tensor], said: str) -> None:
    file = written(tmp_path)
    save_file(tensors, tmp_path / "u0.safetensors")
    finding = ask(file)
    assert finding.status is Status.FAIL
    assert said in finding.summary
    assert finding.summary.startswith("u0.safetensors ")


def test_a_base_of_another_model_is_told(tmp_path: Path) -> None:
    file = written(tmp_path)
    save_file(GRADIENT, tmp_path / "base.safetensors")  # an update may lack the running mean, a base may not
    finding = ask(file)
    assert finding.status is Status.FAIL
    assert "base.safetensors lacks the tensor '1.running_mean'" in finding.summary


def test_updates_of_no_declared_model_are_inconclusive(tmp_path: Path) -> None:
    text = SYSTEM.replace('[model]\ncheckpoint = "model.safetensors"\n', "")
    finding = ask(written(tmp_path, text))
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "missing:model.checkpoint")
    assert finding.remedy is not None
    assert finding.remedy.parameter == "model.checkpoint"


REQUEST = """
[[unlearning]]
id = "r1"
kind = "client"
before = "base.safetensors"
after = "model.safetensors"
transcript = "t.jsonl"
"""


def transcript(folder: Path, before: str, after: str) -> None:
    rows = [
        {"kind": "header", "before": before},
        {"kind": "round", "before": "0" * 64},
        {"kind": "close", "after": after},
    ]
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_transcript_must_name_the_models_that_are_declared(tmp_path: Path) -> None:
    written(tmp_path)
    before, after = (artifact_sha256(tmp_path / f"{name}.safetensors") for name in ("base", "model"))
    transcript(tmp_path, before, after)
    assert named_digests(tmp_path / "t.jsonl") == {"before": before, "after": after}
    assert ask(written(tmp_path, SYSTEM + REQUEST)).status is Status.PASS
    transcript(tmp_path, before, before)
    finding = ask(written(tmp_path, SYSTEM + REQUEST))
    assert finding.status is Status.FAIL
    assert finding.summary == "t.jsonl names another model 'after' than model.safetensors."
    undeclared = ask(written(tmp_path, SYSTEM + REQUEST.replace('before = "base.safetensors"\n', "")), None)
    assert undeclared.status is Status.FAIL  # what is wrong outweighs what is missing
    transcript(tmp_path, before, after)
    undeclared = ask(written(tmp_path, SYSTEM + REQUEST.replace('before = "base.safetensors"\n', "")))
    assert (undeclared.status, undeclared.reason) == (Status.INCONCLUSIVE, "missing:unlearning[0].before")


def test_lines_that_cannot_be_read_hide_no_other_model(tmp_path: Path) -> None:
    """A broken transcript loads, for `unlearning.federated.transcript` to judge; what it names is compared here."""
    written(tmp_path)
    before = artifact_sha256(tmp_path / "base.safetensors")
    transcript(tmp_path, before, before)
    sound = (tmp_path / "t.jsonl").read_bytes()
    for broken in (b"{", b"\xff\xfe", b'{"kind":"round","kind":"round"}', b"[" * 99):
        (tmp_path / "t.jsonl").write_bytes(broken + b"\n" + sound)
        finding = ask(written(tmp_path, SYSTEM + REQUEST))
        assert finding.status is Status.FAIL
        assert finding.summary == "t.jsonl names another model 'after' than model.safetensors."
    (tmp_path / "t.jsonl").write_bytes(b"{\n")
    assert named_digests(tmp_path / "t.jsonl") == {}
    assert ask(written(tmp_path, SYSTEM + REQUEST)).status is Status.PASS


def test_the_control_notices_one_byte_and_has_no_power_over_nothing(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x")
    (tmp_path / "none").write_bytes(b"")
    assert notices_one_byte(tmp_path / "one")
    assert not notices_one_byte(tmp_path / "none")


def test_headers_are_compared_without_reading_the_data(tmp_path: Path) -> None:
    # a sparse file of 8 GiB: reading it whole would be seen in memory and time
    header = json.dumps({"w": {"dtype": "F32", "shape": [2**31], "data_offsets": [0, 2**33]}}).encode()
    for name in ("m.safetensors", "u.safetensors"):
        with (tmp_path / name).open("wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            file.truncate(8 + len(header) + 2**33)
    system = System.model_validate(
        {
            "name": "a",
            "version": "1",
            "source": artifact("system.toml"),
            "model": {"checkpoint": artifact("m.safetensors")},
            "updates": [{"path": artifact("u.safetensors"), "kind": "delta"}],
        }
    )
    found = fits(system, tmp_path, {"m.safetensors", "u.safetensors"})
    assert (found.faults, found.compared) == ((), 1)


def artifact(path: str) -> dict[str, Any]:
    return {"path": path, "sha256": "0" * 64, "size": 1, "kind": "x"}


def test_every_artifact_of_the_system_file_is_found(tmp_path: Path) -> None:
    system = load_system(written(tmp_path)).system
    # oracle: every object with a digest in the JSON of the system
    found: set[tuple[str, str]] = set()

    def walk(value: object) -> None:
        if isinstance(value, dict):
            if "sha256" in value:
                found.add((value["path"], value["sha256"]))
            for one in value.values():
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)

    walk(system.model_dump(mode="json"))
    assert {(one.path, one.sha256) for one in artifacts_of(system)} == found
    assert len(found) == 7


def test_digests_are_those_of_the_whole_file(tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(3 * (1 << 20) + 5)  # three pieces and a rest
    (tmp_path / "big.bin").write_bytes(data)
    steps: list[tuple[int, int]] = []
    found = digests_now(tmp_path, ["big.bin"], lambda done, total: steps.append((done, total)))
    assert found["big.bin"].sha256 == hashlib.sha256(data).hexdigest()
    assert steps == [(1, 1)]


def test_hostile_names_in_the_table_stay_text(tmp_path: Path) -> None:
    loaded = load_system(written(tmp_path))
    hostile = {"a\x00b": "0" * 64, "x\u202e" * 400: "0" * 64, "\ud800": "0" * 64}
    [finding] = artifacts.ask(loaded.system, context(loaded.system, loaded.folder, hostile))
    assert finding.status is Status.FAIL
    assert len(finding.summary) <= 300
    assert figures(finding)["files_at_fault"] == 3
