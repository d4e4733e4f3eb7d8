import base64
import hashlib
import json
import math
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import stats
from sklearn.datasets import load_digits
from torch import nn

from audit.digits import deal
from audit.dp.gaussian import gdp_delta
from audit.federations import CARELESS_SECURE, write_careful
from audit.manifest import load_system
from audit.scripted_reader import Occasion
from audit.system_folder import FolderError, SystemFolder
from reports.bundle import read_bundle
from reports.digests import artifact_sha256
from secagg.verify import verify_transcripts
from unlearning.federated.training import seeded

Declared = dict[str, Any]


def declared(folder: Path) -> Declared:
    return tomllib.loads((folder / "system.toml").read_text())


def flat(path: Path) -> np.ndarray[Any, Any]:
    return np.concatenate([tensor.double().numpy().ravel() for _, tensor in sorted(load_file(path).items())])


def rounds_of(folder: Path) -> dict[int, tuple[list[np.ndarray[Any, Any]], np.ndarray[Any, Any]]]:
    """Every recorded round: the clients' deltas, and the sum that the server got."""
    found: dict[int, tuple[list[np.ndarray[Any, Any]], Any]] = {}
    for update in declared(folder)["updates"]:
        deltas, total = found.get(update["round"], ([], None))
        if update["kind"] == "delta":
            deltas.append(flat(folder / update["path"]))
        else:
            total = flat(folder / update["path"]) * update["divided_by"]
        found[update["round"]] = (deltas, total)
    return found


def model_of(folder: Path, checkpoint: str) -> nn.Module:
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    model.load_state_dict(load_file(folder / checkpoint))
    return model


@pytest.mark.parametrize("name", ["careless", "careful"])
def test_the_folder_is_a_system_and_its_digests_cover_every_file(demo_folder: Path, name: str) -> None:
    loaded = load_system(demo_folder / name / "system.toml")
    rounds = {*(loaded.folder / "transcripts").glob("*"), loaded.folder / "reader" / "recording"}
    files = {
        path.relative_to(loaded.folder).as_posix(): artifact_sha256(path)
        for path in loaded.folder.rglob("*")
        if path in rounds or (path.is_file() and rounds.isdisjoint(path.parents))
    }
    assert files.pop("system.toml") == loaded.system.source.sha256
    assert dict(loaded.expected_digests) == files


@pytest.mark.parametrize(("name", "clients", "rounds"), [("careless", 10, 8), ("careful", 24, 4)])
def test_each_recorded_round_holds_one_planted_record_a_client_and_its_sum(
    demo_folder: Path, name: str, clients: int, rounds: int
) -> None:
    updates = declared(demo_folder / name)["updates"]
    singles = [update for update in updates if update["kind"] == "delta"]
    sums = [update for update in updates if update["kind"] == "aggregate"]
    assert len(singles) == clients * rounds
    assert [update["clients"] for update in sums] == [clients] * rounds
    assert len({(update["client"], update["round"]) for update in singles}) == clients * rounds
    for update in singles:
        assert np.load(demo_folder / name / update["truth"])["x"].shape == (1, 64)


@pytest.mark.parametrize("name", ["careless", "careful"])
def test_a_recorded_delta_is_one_step_on_its_truth_from_its_base(demo_folder: Path, name: str) -> None:
    folder = demo_folder / name
    limit = 1.0 if name == "careful" else math.inf
    for update in [u for u in declared(folder)["updates"] if u["kind"] == "delta"][::17]:
        model, truth = model_of(folder, update["base"]), np.load(folder / update["truth"])
        loss = nn.functional.cross_entropy(model(torch.from_numpy(truth["x"])), torch.from_numpy(truth["y"]))
        gradient = dict(zip(model.state_dict(), torch.autograd.grad(loss, list(model.parameters())), strict=True))
        step = -update["learning_rate"] * np.concatenate(
            [g.double().numpy().ravel() for _, g in sorted(gradient.items())]
        )
        step *= min(1.0, limit / np.linalg.norm(step))
        np.testing.assert_allclose(flat(folder / update["path"]), step, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["careless", "careful"])
def test_planted_public_and_training_records_are_disjoint(demo_folder: Path, name: str) -> None:
    folder = demo_folder / name
    planted = np.concatenate([np.load(folder / u["truth"])["x"] for u in declared(folder)["updates"] if "truth" in u])
    reference = np.load(folder / "reference.npz")["x"]
    assert len(np.unique(np.concatenate([planted, reference]), axis=0)) == len(planted) + len(reference)
    test = np.load(folder / "test.npz")["x"]
    np.testing.assert_array_equal(test, reference[: len(test)])
    examples, clients = (600, 10) if name == "careless" else (576, 24)
    digits = deal(examples, clients, len(planted) // clients, seeded(2026))
    trained = np.concatenate([client.x.numpy() for client in digits.clients])
    np.testing.assert_array_equal(digits.reference.x.numpy(), reference)
    held = np.concatenate([trained, planted, reference])
    assert len(np.unique(held, axis=0)) == len(held) == 1797


def test_a_guess_at_random_in_a_careful_sum_is_right_in_under_2_percent(demo_folder: Path) -> None:
    folder = demo_folder / "careful"
    assert 24 / (96 + len(np.load(folder / "reference.npz")["x"])) <= 0.02


def p_value(noise: np.ndarray[Any, Any], deviation: float) -> float:
    """Two-sided p-value of the hypothesis that `noise` is Gaussian with this deviation."""
    below = stats.chi2.cdf(float((noise**2).sum()) / deviation**2, len(noise))
    return float(2 * min(below, 1 - below))


def test_the_careful_sums_bear_the_declared_noise_and_its_half_is_refuted(demo_folder: Path) -> None:
    privacy = declared(demo_folder / "careful")["federation"]["differential_privacy"]
    deviation = privacy["noise_multiplier"] * privacy["clipping_norm"] * math.sqrt(24 / 22)  # all 24 add a 22nd each
    residuals = [total - sum(deltas) for deltas, total in rounds_of(demo_folder / "careful").values()]
    assert p_value(np.concatenate(residuals), deviation) > 1e-4
    assert p_value(np.concatenate(residuals), deviation / 2) < 1e-12
    correlations = np.corrcoef(residuals)[np.triu_indices(len(residuals), 1)]
    assert np.abs(correlations).max() < 4.5 / math.sqrt(len(residuals[0]))  # fresh noise each round


def test_the_careful_deltas_are_clipped_and_the_careless_claim_of_noise_is_false(demo_folder: Path) -> None:
    for deltas, _ in rounds_of(demo_folder / "careful").values():
        assert max(np.linalg.norm(delta) for delta in deltas) <= 1 + 1e-6
    rounding = 2 * CARELESS_SECURE.quantization.clipping_range / CARELESS_SECURE.quantization.levels
    for deltas, total in rounds_of(demo_folder / "careless").values():
        np.testing.assert_allclose(total, sum(deltas), atol=len(deltas) * rounding)  # not a grain of noise


def test_the_careful_claim_of_epsilon_covers_the_mechanism_and_barely_more(demo_folder: Path) -> None:
    system = declared(demo_folder / "careful")
    privacy = system["federation"]["differential_privacy"]
    mu = math.sqrt(privacy["steps"]) / privacy["noise_multiplier"]
    assert privacy["steps"] == system["federation"]["rounds"]
    assert privacy["sampling"] == "full"
    assert gdp_delta(privacy["epsilon"], mu) <= privacy["delta"] < gdp_delta(privacy["epsilon"] - 0.01, mu)
    assert system["claims"]["epsilon"] == privacy["epsilon"]


@pytest.mark.parametrize("name", ["careless", "careful"])
def test_the_model_is_as_good_as_a_demonstration_needs(demo_folder: Path, name: str) -> None:
    folder = demo_folder / name
    test, claimed = np.load(folder / "test.npz"), declared(folder)["claims"]["accuracy"]
    answers = model_of(folder, "model.safetensors")(torch.from_numpy(test["x"])).argmax(1).numpy()
    accuracy = float((answers == test["y"]).mean())
    assert accuracy > 0.87
    assert (accuracy >= claimed) == (name == "careful")  # the careless claim is false, the careful one true
    upper = stats.beta.ppf(0.975, accuracy * len(answers) + 1, (1 - accuracy) * len(answers))
    assert name == "careful" or upper < claimed  # and can be told to be


def test_every_number_of_the_careful_page_is_in_its_system_file_or_measured(demo_folder: Path) -> None:
    folder = demo_folder / "careful"
    page, system = (folder / "technical-documentation.md").read_text(), declared(folder)
    flowing = " ".join(page.split())
    privacy, secure = system["federation"]["differential_privacy"], system["federation"]["secure_aggregation"]
    assert f"epsilon = {privacy['epsilon']} at delta = {privacy['delta']}" in flowing
    assert f"threshold {secure['threshold']}," in flowing
    assert f"by {system['federation']['clients']} offices in {system['federation']['rounds']} rounds" in flowing
    assert f"standard deviation {privacy['noise_multiplier'] / math.sqrt(22):.4f} to" in flowing
    test = np.load(folder / "test.npz")
    answers = model_of(folder, "model.safetensors")(torch.from_numpy(test["x"])).argmax(1).numpy()
    assert f"right in {(answers == test['y']).mean():.1%}".replace("%", " % of cases") in flowing
    told = re.search(r"If (\d+) of them told the server their own noise, it would be ([0-9.]+)\.", flowing)
    assert told is not None
    mu = math.sqrt(privacy["steps"] / (1 - int(told[1]) / 22)) / privacy["noise_multiplier"]
    assert gdp_delta(float(told[2]), mu) <= privacy["delta"] < gdp_delta(float(told[2]) - 0.01, mu)


def test_one_seed_writes_one_federation_whatever_the_keys_of_its_rounds(demo_folder: Path, tmp_path: Path) -> None:
    report = read_bundle(demo_folder / "careful.bundle").report
    occasion = Occasion(report.provenance.finished.date(), report.provenance.effort)
    again, first = declared(write_careful(tmp_path / "again", 2026, occasion)), declared(demo_folder / "careful")
    changed = {path for path, digest in again["digests"].items() if digest != first["digests"][path]}
    assert changed == {"identities.json", *(f"transcripts/round-{number:04}" for number in range(1, 17))}
    assert {**again, "digests": {}} == {**first, "digests": {}}


def test_every_careful_round_is_recorded_and_gives_the_mean_that_moved_the_model(demo_folder: Path) -> None:
    """The chain of models: each round's header names the model that the round before led to, by its digest."""
    folder = demo_folder / "careful"
    verified = verify_transcripts([folder / path for path in transcripts(folder)], read_identities(folder))
    assert (verified.status, verified.authenticity, verified.complete) == ("pass", "signed", True)
    assert [len(one.survivors) for one in verified.transcripts] == [22] * 16
    bases = {u["round"]: u["base"] for u in declared(folder)["updates"]}
    names = list(nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).state_dict())

    def elements(path: Path) -> np.ndarray[Any, Any]:
        tensors = load_file(path)
        return np.concatenate([tensors[name].numpy().ravel() for name in names])

    model = elements(folder / bases[1])
    for number, path in enumerate(transcripts(folder), 1):
        lines = (folder / path / "transcript.jsonl").read_bytes().splitlines()
        header, total = json.loads(lines[0])["body"], json.loads(lines[-1])["body"]
        assert header["model_sha256"] == hashlib.sha256(model.astype("<f4").tobytes()).hexdigest()
        if number in bases:
            np.testing.assert_array_equal(model, elements(folder / bases[number]))
        words = np.fromfile(folder / path / "blobs" / total["blob"], "<u4")
        model = model + (words * (8.0 / 2**22) / 22 - 4.0).astype(np.float32)
    np.testing.assert_array_equal(model, elements(folder / "model.safetensors"))


def transcripts(folder: Path) -> list[str]:
    return list(declared(folder)["federation"]["secure_aggregation"]["transcripts"])


def read_identities(folder: Path) -> dict[str, bytes]:
    return {one: base64.b64decode(key) for one, key in json.loads((folder / "identities.json").read_text()).items()}


def test_the_digits_are_those_of_scikit_learn(demo_folder: Path) -> None:
    theirs = {(*row, label) for row, label in zip(load_digits().data / 16, load_digits().target, strict=True)}
    ours = np.load(demo_folder / "careful" / "reference.npz")
    assert {(*row, label) for row, label in zip(ours["x"].astype(float), ours["y"], strict=True)} <= theirs


def test_a_folder_that_is_left_early_is_not_there(tmp_path: Path) -> None:
    def leave(folder: SystemFolder) -> None:
        folder.text("notes.md", "half")
        raise RuntimeError

    with pytest.raises(RuntimeError), SystemFolder(tmp_path / "system") as folder:
        leave(folder)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_cleared_and_a_finished_folder_is_not(tmp_path: Path) -> None:
    left = tmp_path / ".system.partial"
    left.mkdir()
    (left / "old").touch()
    with SystemFolder(tmp_path / "system") as folder:
        folder.text("policy.toml", "")
        folder.finish("policy.toml", {})
    assert {path.name for path in (tmp_path / "system").iterdir()} == {"policy.toml", "system.toml"}
    with pytest.raises(FolderError, match="exists already"), SystemFolder(tmp_path / "system"):
        pass
    assert (tmp_path / "system" / "system.toml").exists()
