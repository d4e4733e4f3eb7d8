"""What is said to be wrong with released models, estimates, codes and logits is in the files; told without a check."""

import json
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from audit.selftest.play import Case, built
from audit.selftest.zoo import chosen
from reports.model import Effort

Array = npt.NDArray[np.float64]
NOW = datetime(2026, 11, 22, tzinfo=UTC)
Build = Callable[[str, bool], Path]
BOTH = pytest.mark.parametrize("planted", [True, False], ids=["flaw", "twin"])


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Return the folder of a flaw's system or of its twin's, built once."""
    folders: dict[tuple[str, bool], Path] = {}

    def folder(flaw: str, planted: bool) -> Path:
        if (flaw, planted) not in folders:
            [one] = chosen([flaw])
            place = tmp_path_factory.mktemp(flaw) / "system"
            built(one, Case(flaw, planted, 3, Effort.SMOKE, NOW), place)
            folders[flaw, planted] = place
        return folders[flaw, planted]

    return folder


def arrays(file: Path) -> Mapping[str, npt.NDArray[Any]]:
    with np.load(file) as held:
        return {name: held[name] for name in held.files}


def perceptron(folder: Path) -> nn.Sequential:
    """Return the model of a folder, put together by hand."""
    layers = json.loads((folder / "layers.json").read_text())
    parts = [
        nn.Linear(one["in_features"], one["out_features"]) if "in_features" in one else nn.ReLU() for one in layers
    ]
    model = nn.Sequential(*parts)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model


@BOTH
def test_an_imprint_layer_is_one_row_between_whose_thresholds_lie_the_records(build: Build, planted: bool) -> None:
    folder = build("imprint-layer", planted)
    model, public = perceptron(folder), arrays(folder / "reference.npz")
    x, y = torch.from_numpy(public["x"][:8]), torch.from_numpy(public["y"][:8])
    nn.functional.cross_entropy(model(x), y).backward()
    first = model[0]
    scale = first.weight.norm(dim=1)
    order = (first.bias / scale).argsort()
    weight, bias = (first.weight.grad * scale[:, None])[order], (first.bias.grad * scale)[order]
    between = weight.diff(dim=0) / bias.diff(dim=0)[:, None]
    found = [bool((between - record).abs().amax(dim=1).nan_to_num(1.0).min() < 1e-2) for record in x]
    assert int(torch.linalg.matrix_rank(first.weight)) == (1 if planted else 64)
    assert not planted or sum(found) >= 6


@BOTH
def test_an_overfit_model_errs_less_on_its_members_and_its_twin_by_no_more_than_luck(
    build: Build, planted: bool
) -> None:
    """Of a member and a stranger the loss ranks, without knowledge, half right: sd sqrt((n+m+1)/12nm), three of it."""
    folder = build("overfit-model", planted)
    members, strangers = (
        losses(perceptron(folder), arrays(folder / f"{role}.npz")) for role in ("members", "nonmembers")
    )
    n, m = len(members), len(strangers)
    ranked = float((members[:, None] < strangers[None, :]).mean())
    luck = 3 * np.sqrt((n + m + 1) / (12 * n * m))
    assert (ranked > 0.5 + luck) == planted


def losses(model: nn.Sequential, held: Mapping[str, npt.NDArray[Any]]) -> Array:
    odds = model(torch.from_numpy(held["x"])).double().log_softmax(1).detach().numpy()
    return np.asarray(-odds[np.arange(len(odds)), held["y"]])


@BOTH
@pytest.mark.parametrize("flaw", ["vertical-float-embedding", "vertical-hash-64-bits", "document-claims-refuted"])
def test_embeddings_are_led_back_by_least_squares_and_one_bit_is_not(build: Build, flaw: str, planted: bool) -> None:
    folder = build(flaw, planted)
    public, sent = arrays(folder / "reference.npz"), arrays(folder / "sent.npz")["embedding"]
    truth = arrays(folder / "truth.npz")["x"].astype(np.float64)
    back, *_ = np.linalg.lstsq(with_one(public["embedding"]), public["x"].astype(np.float64), rcond=1e-6)
    share = named(with_one(sent) @ back, truth, public["x"])
    assert share > 0.5 if planted else share <= 2 / len(truth)  # two guesses, and each is nearest to one record
    assert (len(np.unique(sent, axis=0)) == 2) != planted


@BOTH
def test_kept_estimates_are_of_records_and_the_twin_s_of_classes_alone(build: Build, planted: bool) -> None:
    folder = build("stale-estimates", planted)
    files = sorted((folder / "estimates").glob("client-*.npz"))
    guesses = np.concatenate([arrays(file)["x"] for file in files])
    truths = [arrays(file.with_name(file.name.replace("client", "truth"))) for file in files]
    records, labels = (np.concatenate([one[name] for one in truths]) for name in ("x", "y"))
    share = named(guesses, records, arrays(folder / "reference.npz")["x"])
    distinct = len(np.unique(guesses, axis=0))
    assert distinct == (len(records) if planted else len(np.unique(labels)))
    assert share > 0.9 if planted else share <= distinct / len(records)  # each guess is nearest to one record


@BOTH
def test_label_mixes_differ_and_show_in_the_logits_or_are_all_one(build: Build, planted: bool) -> None:
    folder = build("distillation-label-mix", planted)
    files = sorted((folder / "logits").glob("client-*.npz"))
    labels = [arrays(file.with_name(file.name.replace("client", "truth")))["y"] for file in files]
    mixes = np.stack([np.bincount(one, minlength=10) / len(one) for one in labels])
    assert (len(np.unique(mixes, axis=0)) == 1) != planted
    if planted:
        level = np.stack([arrays(file)["logits"].mean(axis=0) for file in files])
        told = np.corrcoef((level - level.mean(axis=0)).ravel(), (mixes - mixes.mean(axis=0)).ravel())[0, 1]
        assert told > 0.5


def with_one(values: npt.NDArray[Any]) -> Array:
    return np.column_stack([values.astype(np.float64), np.ones(len(values))])


def named(guesses: npt.NDArray[Any], records: npt.NDArray[Any], public: npt.NDArray[Any]) -> float:
    """The share of records to which their guess is nearer than to any other record, planted or public."""
    everybody = np.concatenate([records, public]).astype(np.float64)
    nearest = [int(((everybody - guess) ** 2).sum(axis=1).argmin()) for guess in guesses.astype(np.float64)]
    return float((np.array(nearest) == np.arange(len(records))).mean())


@pytest.mark.llm
@BOTH
def test_a_client_s_gradient_spans_no_more_directions_than_its_text_has_tokens(build: Build, planted: bool) -> None:
    pytest.importorskip("transformers")
    folder = build("text-attention", planted)
    update = load_file(folder / "updates/client-007.safetensors")
    tokens = arrays(folder / "updates/client-007.npz")["input_ids"].size - 1  # the last one is only foretold
    attention = update["transformer.h.0.attn.c_attn.weight"].double()
    width = attention.shape[0]
    rank = int(torch.linalg.matrix_rank(attention[:, 2 * width :], rtol=1e-5))
    assert rank == (tokens if planted else width)
    assert tomllib.loads((folder / "system.toml").read_text())["model"]["checkpoint"] == "model"
