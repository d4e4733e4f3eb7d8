"""Planted text, joined with its model and its update, and refused where it does not fit (extra [llm])."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from audit.attacks.text_decoder import decoder_of
from audit.load_text import PlantedTexts, planted_texts, reference_texts, sequences
from audit.manifest import load_system
from reports.artifacts import BrokenFile
from reports.errors import SystemFileError
from tests.audit.attacks.text_federation import gpt2, gradient_of, llama, write
from unlearning.errors import ModelMismatch

pytestmark = pytest.mark.llm


def planted(folder: Path) -> PlantedTexts:
    system = load_system(folder / "system.toml").system
    return planted_texts(system, folder, lambda model: decoder_of(model).reads)


def test_sequences_of_several_lengths_keep_their_tokens(tmp_path: Path) -> None:
    folder = write(tmp_path, gpt2(), clients=2)
    tokens = np.array([[5, 6, 7, 0], [8, 9, 3, 4]])
    np.savez(folder / "u1.npz", input_ids=tokens, attention_mask=[[1, 1, 1, 0], [1, 1, 1, 1]])
    updates = planted(folder).updates
    assert [update.truth.x.shape[1] for update in updates] == [8, 8]
    found = sequences(updates[1].truth.x.numpy(), updates[1].truth.y.numpy())
    assert found == [(5, 6, 7), (8, 9, 3, 4)]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"input_ids": np.array([[1, 200]])}, "the token 200"),
        ({"input_ids": np.array([[1, -1]])}, "the token -1"),
        ({"input_ids": np.array([[1.0, 2.0]])}, "float64"),
        ({"input_ids": np.array([1, 2])}, "shape"),
        ({"input_ids": np.array([[1]])}, "fewer than two"),
        ({"input_ids": np.array([[1, 2, 3]]), "attention_mask": np.array([[0, 1, 1]])}, "before the last"),
        ({"input_ids": np.array([[1, 2, 3]]), "attention_mask": np.array([[1, 1]])}, "attention_mask"),
        ({"input_ids": np.array([[1, 2, 3]]), "attention_mask": np.array([[1, 1, 2]])}, "attention_mask"),
        ({"input_ids": np.array([[1, 2, 3]]), "secret_mask": np.array([[1, 1]])}, "secret_mask"),
    ],
)
def test_a_truth_that_is_no_text_of_the_model_is_refused(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    folder = write(tmp_path, gpt2(), clients=1)
    np.savez(folder / "u0.npz", **arrays)
    with pytest.raises(SystemFileError, match=words) as caught:
        planted(folder)
    assert "u0.npz" in caught.value.message


def test_a_truth_without_token_ids_is_told(tmp_path: Path) -> None:
    folder = write(tmp_path, gpt2(), clients=1)
    np.savez(folder / "u0.npz", x=np.zeros((1, 4)), y=np.zeros(1))
    with pytest.raises(BrokenFile, match="input_ids"):
        planted(folder)


def test_an_update_of_another_model_is_told(tmp_path: Path) -> None:
    folder = write(tmp_path, gpt2(), clients=1)
    tensors = load_file(folder / "u0.safetensors")
    save_file({**tensors, "lora_A": torch.zeros(2)}, folder / "u0.safetensors")
    with pytest.raises(ModelMismatch, match="lora_A"):
        planted(folder)
    save_file({name: tensor[:1].clone() for name, tensor in tensors.items()}, folder / "u0.safetensors")
    with pytest.raises(ModelMismatch, match="in the model"):
        planted(folder)
    save_file({name: tensor.int() for name, tensor in tensors.items()}, folder / "u0.safetensors")
    with pytest.raises(SystemFileError, match="int32"):
        planted(folder)


def test_a_shared_tensor_may_come_under_either_name_and_layers_may_be_frozen(tmp_path: Path) -> None:
    model = llama(tie_word_embeddings=True)
    folder = write(tmp_path, model, clients=1)
    tensors = load_file(folder / "u0.safetensors")
    table = tensors.pop("model.embed_tokens.weight")
    save_file({"lm_head.weight": table, **tensors}, folder / "u0.safetensors")
    [update] = planted(folder).updates
    torch.testing.assert_close(update.tensors["model.embed_tokens.weight"], table)
    save_file(tensors, folder / "u0.safetensors")
    [update] = planted(folder).updates
    assert "model.embed_tokens.weight" not in update.tensors


def test_only_what_is_read_is_kept(tmp_path: Path) -> None:
    model = gpt2()
    [update] = planted(write(tmp_path, model, clients=1)).updates
    assert set(update.tensors) == set(decoder_of(model).reads)
    tokens = update.truth.x
    expected = gradient_of(model, tokens)
    for name, tensor in update.tensors.items():
        torch.testing.assert_close(tensor, expected[name])


def test_public_sequences_are_each_named_once(tmp_path: Path) -> None:
    folder = write(tmp_path, gpt2(), clients=1)
    np.savez(folder / "reference.npz", input_ids=np.array([[1, 2], [3, 4], [1, 2]]))
    system = load_system(folder / "system.toml").system
    assert reference_texts(system, folder, 120) == ((1, 2), (3, 4))
