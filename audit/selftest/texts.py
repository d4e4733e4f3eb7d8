"""A federation of a toy language model: its folder, made in process, and clients' gradients of random sequences."""

import json
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from audit.attacks.text_decoder import text_gradient
from audit.selftest.workshop import Workshop
from unlearning.decoder_folder import build_decoder

VOCABULARY = 80
CONFIGURATION = {
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "vocab_size": VOCABULARY,
    "n_positions": 8,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
"""GPT-2 of two blocks; no dropout, so that a client's gradient is that of its model."""
LENGTH = 3
"""Tokens of a sequence, fewer than the model is wide."""
Update = Mapping[str, Tensor]
Defend = Callable[[Update, torch.Generator], Update]
"""What a client does to its gradient before it sends it, with its own source of noise."""


def write_texts(make: Workshop, *, clients: int, reference: int, defend: Defend) -> dict[str, object]:
    """Write an untrained GPT-2 and the gradients of clients that hold one sequence each; return the tables.

    Args:
        make: The workshop.
        clients: How many.
        reference: Public sequences.
        defend: What the clients do to their gradients.
    """
    files, folder = make.files, make.files.folder("model")
    folder.mkdir()
    files.text("model/config.json", json.dumps(CONFIGURATION, indent=1) + "\n")
    model = build_decoder(folder, seed=int(make.rng("weights").integers(2**32)))
    files.tensors("model/model.safetensors", {name: one.detach() for name, one in model.named_parameters()})
    words, noise = make.generator("sequences"), make.generator("noise")
    for number in range(clients):
        tokens = sequences(1, words)
        sent = defend(gradient(model, tokens), noise)
        truth = files.arrays(f"updates/client-{number:03}.npz", {"input_ids": tokens.numpy()})
        path = f"updates/client-{number:03}.safetensors"
        files.update(path, sent, kind="gradient", client=f"client-{number:03}", truth=truth, batch_size=1)
    public = files.arrays("reference.npz", {"input_ids": sequences(reference, words).numpy()})
    return {
        "federation": {"visibility": "update", "clients": clients},
        "model": {"checkpoint": "model"},
        "data": [{"role": "reference", "path": public}],
    }


def sequences(count: int, generator: torch.Generator) -> Tensor:
    """Return random token ids, shape (count, LENGTH)."""
    return torch.randint(VOCABULARY, (count, LENGTH), generator=generator)


def gradient(model: nn.Module, tokens: Tensor) -> Update:
    """Return the gradient of every parameter on these sequences, each under one name."""
    names = tuple(name for name, _ in model.named_parameters())
    return text_gradient(model, tokens, torch.full((len(tokens),), tokens.shape[1]), names)


def clear(update: Update, _noise: torch.Generator) -> Update:
    """Return the gradient as it is."""
    return update


def noised(deviation: float, clipping_norm: float = 1.0) -> Defend:
    """Return the defence that clips a gradient to a norm and adds Gaussian noise to each of its numbers."""

    def defend(update: Update, generator: torch.Generator) -> Update:
        norm = float(torch.cat([tensor.flatten() for tensor in update.values()]).norm())
        share = min(1.0, clipping_norm / norm)
        return {
            name: share * tensor + deviation * torch.randn(tensor.shape, generator=generator)
            for name, tensor in update.items()
        }

    return defend
