"""Embeddings, logits and estimates joined with their truth: what fits, what is left out, and what is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audit.load_arrays import planted_arrays, reference_embeddings
from audit.manifest import load_system
from reports.errors import FedauditError
from reports.toml_writer import toml_text

RECORDS = np.arange(12, dtype=np.float32).reshape(3, 4)
LABELS = np.array([0, 2, 1])


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Write a system with one recorded array and public records."""

    def write(
        kind: str, arrays: dict[str, Any], *, truth: dict[str, Any] | None = None, public: dict[str, Any] | None = None
    ) -> Path:
        np.savez(tmp_path / "sent.npz", **arrays)
        np.savez(tmp_path / "truth.npz", **({"x": RECORDS, "y": LABELS} if truth is None else truth))
        entry = {"path": "sent.npz", "kind": kind, "client": "c0", "round": 2, "truth": "truth.npz"}
        tables: dict[str, Any] = {
            "system": {"name": "arrays", "version": "1"},
            "model": {"input_shape": [4], "classes": 3},
            "updates": [entry],
        }
        if public is not None:
            np.savez(tmp_path / "public.npz", **public)
            tables["data"] = [{"role": "reference", "path": "public.npz"}]
        (tmp_path / "system.toml").write_text(toml_text(tables))
        return tmp_path

    return write


def read(folder: Path, kind: Any):
    system = load_system(folder / "system.toml")
    return planted_arrays(system.system, system.folder, kind)


@pytest.mark.parametrize("kind", ["embedding", "logits", "estimate"])
def test_an_array_comes_with_its_truth(folder, kind: str) -> None:
    name = {"estimate": "x"}.get(kind, kind)
    values = np.random.default_rng(0).normal(size=(3, 4 if kind == "estimate" else 3)).astype(np.float16)
    (found,), excluded = read(folder(kind, {name: values}), kind)
    assert (found.index, found.path, found.client, found.round) == (0, "sent.npz", "c0", 2)
    assert found.values.dtype == np.float64
    np.testing.assert_array_equal(found.values, values)
    np.testing.assert_array_equal(found.truth.x.numpy(), RECORDS)
    assert found.truth.y.dtype == torch.int64
    assert not excluded


def test_codes_of_truth_values_become_numbers(folder) -> None:
    (found,), _ = read(folder("embedding", {"embedding": np.eye(3, dtype=bool)}), "embedding")
    np.testing.assert_array_equal(found.values, np.eye(3))


def test_other_kinds_are_not_touched(folder) -> None:
    assert read(folder("logits", {"logits": np.zeros((3, 3))}), "embedding") == ((), ())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_array_with_nan_is_left_out_and_named(folder, bad: float) -> None:
    found, (excluded,) = read(folder("estimate", {"x": np.full((3, 4), bad)}), "estimate")
    assert not found
    assert (excluded.path, excluded.why) == ("sent.npz", "'x' holds NaN or infinity")


def test_a_truth_with_nan_is_left_out_and_named(folder) -> None:
    truth = {"x": np.full((3, 4), np.nan), "y": LABELS}
    _, (excluded,) = read(folder("estimate", {"x": RECORDS}, truth=truth), "estimate")
    assert excluded.why == "its truth holds NaN or infinity"


@pytest.mark.parametrize(
    ("kind", "arrays", "words"),
    [
        ("embedding", {"embedding": np.zeros((2, 5))}, "2 rows for 3 records of its truth"),
        ("embedding", {"embedding": np.zeros(3)}, "float64 of shape (3,)"),
        ("embedding", {"embedding": np.array([["a"]] * 3)}, "'embedding' is <U1"),
        ("embedding", {"x": np.zeros((3, 5))}, "lacks the array 'embedding'"),
        ("estimate", {"x": np.zeros((3, 5))}, "input_shape asks for (B, 4)"),
        ("estimate", {"x": np.zeros((4, 4))}, "4 rows for 3 records of its truth"),
        ("logits", {"logits": np.zeros((4, 3))}, "4 rows for 5 records of role reference"),
        ("logits", {"logits": np.zeros((5, 3, 1))}, "Give (records, classes)"),
        ("logits", {"logits": np.zeros((5, 4))}, "[model].classes is 3"),
    ],
)
def test_an_array_that_does_not_fit_is_told(folder, kind: str, arrays, words: str) -> None:
    with pytest.raises(FedauditError) as told:
        read(folder(kind, arrays, public={"x": np.zeros((5, 4))}), kind)
    assert words in str(told.value)
    assert "sent.npz" in str(told.value)


def test_public_embeddings_stand_beside_their_records(folder) -> None:
    embedding = np.arange(10.0).reshape(5, 2)
    system = load_system(
        folder("embedding", {"embedding": np.zeros((3, 2))}, public={"x": np.zeros((5, 4)), "embedding": embedding})
        / "system.toml"
    )
    np.testing.assert_array_equal(reference_embeddings(system.system, system.folder), embedding)


def test_public_records_without_embeddings_are_no_pairs(folder) -> None:
    system = load_system(
        folder("embedding", {"embedding": np.zeros((3, 2))}, public={"x": np.zeros((5, 4))}) / "system.toml"
    )
    assert reference_embeddings(system.system, system.folder) is None


@pytest.mark.parametrize(
    ("embedding", "words"),
    [(np.zeros((4, 2)), "4 rows for 5 records"), (np.full((5, 2), np.nan), "NaN"), (np.zeros(5), "shape (5,)")],
)
def test_public_embeddings_that_do_not_fit_are_told(folder, embedding, words: str) -> None:
    public = {"x": np.zeros((5, 4)), "embedding": embedding}
    system = load_system(folder("embedding", {"embedding": np.zeros((3, 2))}, public=public) / "system.toml")
    with pytest.raises(FedauditError, match=r"public\.npz") as told:
        reference_embeddings(system.system, system.folder)
    assert words in str(told.value)
