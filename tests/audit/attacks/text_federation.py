"""Small federations of language models, for tests: tiny models made in process, written as Hugging Face folders."""

import importlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from audit.attacks.text_decoder import text_gradient
from reports.toml_writer import toml_text
from tests.benchmarks.attacks_breaching import lenient


@cache
def _missing() -> str:
    """Why transformers cannot be used here; empty where it can."""
    try:
        with lenient():  # a torchvision beside CPU torch, which other tests bring, breaks the import
            package = importlib.import_module("transformers")
            package.GPT2LMHeadModel, package.LlamaForCausalLM  # noqa: B018  # loaded lazily: only a class tells
    except (ImportError, RuntimeError) as error:
        return f"transformers cannot be imported: {error}"
    return ""


def transformers() -> Any:
    """The package; asked for when a test runs, which is skipped where it cannot be used."""
    if why := _missing():
        pytest.skip(why)
    return importlib.import_module("transformers")


Defend = Callable[[dict[str, Tensor], torch.Generator], dict[str, Tensor]]


def gpt2(*, width: int = 32, vocabulary: int = 120, layers: int = 2, seed: int = 0, **keys: Any) -> nn.Module:
    torch.manual_seed(seed)
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": 0, "eos_token_id": 0}
    config = transformers().GPT2Config(
        vocab_size=vocabulary, n_positions=32, n_embd=width, n_layer=layers, n_head=4, **still | keys
    )  # fmt: skip
    return transformers().GPT2LMHeadModel(config).eval()


def llama(
    *, width: int = 32, vocabulary: int = 120, layers: int = 2, groups: int = 4, seed: int = 0, **keys: Any
) -> nn.Module:
    torch.manual_seed(seed)
    config = transformers().LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=48, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=groups, bos_token_id=0, eos_token_id=0, **keys,
    )  # fmt: skip
    return transformers().LlamaForCausalLM(config).eval()


def texts(count: int, length: int, vocabulary: int, seed: int) -> Tensor:
    return torch.randint(0, vocabulary, (count, length), generator=torch.Generator().manual_seed(seed))


def gradient_of(model: nn.Module, tokens: Tensor, lengths: Tensor | None = None) -> dict[str, Tensor]:
    """The gradient of every parameter, each under one name."""
    names = tuple(name for name, _ in model.named_parameters())
    return text_gradient(
        model, tokens, torch.full((len(tokens),), tokens.shape[1]) if lengths is None else lengths, names
    )


def clear(update: dict[str, Tensor], _: torch.Generator) -> dict[str, Tensor]:
    return update


def clipped(update: dict[str, Tensor], norm: float = 1.0) -> dict[str, Tensor]:
    length = float(torch.cat([tensor.flatten() for tensor in update.values()]).norm())
    return {name: tensor * min(1.0, norm / length) for name, tensor in update.items()}


def noised(deviation: float) -> Defend:
    def defend(update: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        return {
            name: tensor + deviation * torch.randn(tensor.shape, generator=generator)
            for name, tensor in clipped(update).items()
        }

    return defend


def write(
    folder: Path,
    model: nn.Module,
    *,
    clients: int = 8,
    batch: int = 1,
    length: int = 8,
    reference: int = 400,
    defend: Defend = clear,
    kind: str = "gradient",
    federation: dict[str, Any] | None = None,
    secret: slice | None = None,
) -> Path:
    """Write a system whose clients plant random token sequences, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder / "model")
    vocabulary = model.get_input_embeddings().weight.shape[0]
    generator = torch.Generator().manual_seed(1)
    planted, public = texts(clients * batch, length, vocabulary, 2), texts(reference, length, vocabulary, 3)
    updates = []
    for client in range(clients):
        own = planted[client * batch : (client + 1) * batch]
        sent = defend(gradient_of(model, own), generator)
        if kind == "delta":
            sent = {name: -0.1 * tensor for name, tensor in sent.items()}
        save_file({name: tensor.contiguous() for name, tensor in sent.items()}, folder / f"u{client}.safetensors")
        arrays = {"input_ids": own.numpy()}
        if secret is not None:
            arrays["secret_mask"] = np.zeros(own.shape, dtype=bool)
            arrays["secret_mask"][:, secret] = True
        np.savez(folder / f"u{client}.npz", **arrays)
        updates.append(
            {"path": f"u{client}.safetensors", "kind": kind, "truth": f"u{client}.npz", "client": f"c{client}"}
        )
    np.savez(folder / "reference.npz", input_ids=public.numpy())
    system: dict[str, Any] = {
        "system": {"name": "text", "version": "1"},
        "federation": federation or {"visibility": "update"},
        "model": {"checkpoint": "model"},
        "updates": updates,
        "data": [{"role": "reference", "path": "reference.npz"}] if reference else [],
    }
    (folder / "system.toml").write_text(toml_text(system), encoding="utf-8")
    assert json.loads((folder / "model" / "config.json").read_text())["architectures"]
    return folder
