"""A language model of transformers is recorded by the same line, and what it holds is read back (extra [llm])."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from audit.attacks.text import text
from audit.capture import Capture, CaptureError, record_gradient, record_update
from audit.load_text import planted_texts, reference_texts, sequences
from audit.manifest import load_system
from reports.model import Status
from tests.audit.attacks.text_federation import gpt2, llama, texts, transformers
from unlearning.decoder_folder import load_decoder

pytestmark = pytest.mark.llm


def backward(model: Any, tokens: dict[str, Tensor]) -> None:
    """The loss as users of transformers take it: padding carries no label."""
    model.zero_grad()
    labels = tokens["input_ids"].masked_fill(tokens["attention_mask"] == 0, -100)
    model(**tokens, labels=labels).loss.backward()


def batch(count: int = 1, length: int = 8, seed: int = 2) -> dict[str, Tensor]:
    ids = texts(count, length, 120, seed)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def planted(folder: Path) -> Any:
    return planted_texts(
        load_system(folder / "system.toml").system, folder, lambda model: dict(model.named_parameters())
    )


@pytest.mark.parametrize("build", [gpt2, llama, lambda: llama(tie_word_embeddings=True)], ids=["gpt2", "llama", "tied"])
def test_one_line_leaves_a_system_that_loads(tmp_path: Path, build: Any) -> None:
    model, tokens = build(), batch(2)
    tokens["attention_mask"][1, 5:] = 0
    backward(model, tokens)
    record_gradient(model, tokens, tmp_path / "run", name="letters", client="a", round=3, reference=batch(40, seed=3))
    (update,) = planted(tmp_path / "run").updates
    assert (update.kind, update.client, update.round, update.batch_size) == ("gradient", "a", 3, 2)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(update.tensors[name], parameter.grad)
    found = sequences(update.truth.x.numpy(), update.truth.y.numpy())
    assert [len(one) for one in found] == [8, 5]
    assert found[0] == tuple(tokens["input_ids"][0].tolist())
    system = load_system(tmp_path / "run" / "system.toml").system
    assert len(reference_texts(system, tmp_path / "run", 120)) == 40
    newest = load_decoder(tmp_path / "run" / "model")
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(newest.state_dict()[name], tensor)


def test_transformers_itself_reads_the_folder(tmp_path: Path) -> None:
    model = llama(tie_word_embeddings=True)
    with Capture(tmp_path / "run", model, name="letters"):
        pass
    again = transformers().AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "model")
    torch.testing.assert_close(again(batch()["input_ids"]).logits, model(batch()["input_ids"]).logits)
    assert json.loads((tmp_path / "run" / "model" / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]


def test_each_update_stands_at_its_own_rounds_model(tmp_path: Path) -> None:
    model = gpt2()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for number in range(2):
        tokens = batch(seed=number)
        backward(model, tokens)
        record_gradient(model, tokens, tmp_path / "run", name="letters", client="a", round=number)
        optimiser.step()
    first, second = planted(tmp_path / "run").updates
    assert not torch.equal(first.base.transformer.wpe.weight, second.base.transformer.wpe.weight)
    assert len(list((tmp_path / "run" / "bases").iterdir())) == 2


def test_a_delta_is_recorded_too(tmp_path: Path) -> None:
    before, after = gpt2(seed=0), gpt2(seed=1)
    record_update(before, after, batch(), tmp_path / "run", name="letters", client="a", round=0, learning_rate=0.1)
    (update,) = planted(tmp_path / "run").updates
    assert update.kind == "delta"
    torch.testing.assert_close(
        update.tensors["transformer.wpe.weight"], after.transformer.wpe.weight - before.transformer.wpe.weight
    )


def test_what_was_recorded_is_read_back(tmp_path: Path, ask: Any) -> None:
    model = llama()
    for client in range(8):
        tokens = batch(seed=10 + client)
        backward(model, tokens)
        record_gradient(
            model, tokens, tmp_path / "run", name="letters", client=f"c{client}", round=0, reference=batch(200, seed=3),
            federation={"visibility": "update"},
        )  # fmt: skip
    finding = ask(text, tmp_path / "run").finding
    assert finding.status is Status.FAIL


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ((torch.zeros(1, 4), torch.zeros(1)), "holds input_ids"),
        ({"attention_mask": torch.ones(1, 4)}, "holds input_ids"),
        ({"input_ids": torch.zeros(4, dtype=torch.long)}, "cannot be written"),
        ({"input_ids": torch.zeros(1, 4)}, "float32"),
        ({"input_ids": np.ones((1, 4), dtype=int), "attention_mask": np.ones((1, 3), dtype=int)}, "cannot be written"),
        ({"input_ids": np.ones((1, 3), dtype=int), "attention_mask": np.array([[0, 1, 1]])}, "before the last"),
    ],
)
def test_what_is_no_batch_of_a_language_model_is_told(tmp_path: Path, tokens: Any, words: str) -> None:
    model = gpt2()
    backward(model, batch())
    with Capture(tmp_path / "run", model, name="letters") as capture, pytest.raises(CaptureError, match=words):
        capture.record_gradient(model, tokens)


def test_another_architecture_of_transformers_needs_a_definition(tmp_path: Path) -> None:
    package = transformers()
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    vision: nn.Module = package.ViTForImageClassification(package.ViTConfig(image_size=8, patch_size=4, **shape))
    with pytest.raises(CaptureError, match="ViTForImageClassification") as told:
        Capture(tmp_path / "run", vision, name="vision")
    assert "definition" in told.value.hint
    assert not (tmp_path / "run").exists()
