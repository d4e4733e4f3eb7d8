"""What an attack on text reads of a decoder: which tensors, and what the first two blocks are given.

A block's value projection sees each position's hidden state, so its gradient is a sum over positions of that state
times something. The state before the first block is a function of one token and its position; the state before the
second a function of the whole prefix. Both are computed by the model's own modules, at the base that the view names.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unlearning.errors import ModelError


@dataclass(frozen=True)
class Projection:
    """Where the gradient of a block's value projection stands in an update."""

    tensors: tuple[str, ...]
    """Names; several where keys are read beside values."""
    transposed: bool
    """Whether the first dimension is the output, as in `Linear`, not in GPT-2's `Conv1D`."""
    columns: slice
    """The output columns that are read."""

    def of(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the gradient as float64, shape (width, outputs)."""
        parts = [tensors[name].double() for name in self.tensors]
        return torch.cat([part.T if self.transposed else part for part in parts], dim=1)[:, self.columns]


@dataclass(frozen=True, eq=False)
class Decoder:
    """The parts of a language model that the attack runs."""

    model: nn.Module
    """The whole model, in evaluation mode: token ids to logits."""
    trunk: nn.Module
    """The model cut after the first block, its last norm that of the second block: token ids to what that is given."""
    embedding: Tensor
    """Of tokens, shape (vocabulary, width)."""
    positions: Tensor | None
    """Learned embedding of positions, shape (positions, width); None where positions are rotary."""
    norm: nn.Module
    """Before the first block."""
    projections: tuple[Projection, Projection]
    """Of the first and the second block."""
    embedding_name: str
    """The tensor of the token embedding."""
    output_name: str
    """The tensor of the output layer, which may be the same."""
    output_weight: Tensor
    """Of the output layer, shape (vocabulary, width)."""
    norm_name: str
    """The tensor of the weight of the norm before the output layer."""
    last_norm: tuple[Tensor, Tensor]
    """Weight and bias of that norm, shape (width,) each."""
    block_size: int
    """Parameters of the first block."""
    capacity: int
    """Most positions whose states a projection's gradient can hold apart."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors that the attack reads."""
        named = [name for projection in self.projections for name in projection.tensors]
        return tuple(dict.fromkeys([*named, self.embedding_name, self.output_name, self.norm_name]))

    @torch.no_grad()
    def first_inputs(self, tokens: Tensor, position: int) -> Tensor:
        """Return what the first block is given for each of `tokens` (n,) at a position, shape (n, width)."""
        states = self.embedding[tokens]
        if self.positions is not None:
            states = states + self.positions[position]
        given: Tensor = self.norm(states)
        return given

    @torch.no_grad()
    def output_inputs(self, tokens: Tensor) -> Tensor:
        """Return what the output layer is given at each position of one sequence (length,), shape (length, width)."""
        trunk: Any = self.model.base_model
        states: Tensor = trunk(input_ids=tokens[None], use_cache=False).last_hidden_state
        return states[0]


def decoder_of(model: nn.Module) -> Decoder:
    """Return the parts of a GPT-2- or Llama-like model of transformers.

    Raises:
        ModelError: the model has fewer than two blocks.
    """
    whole: Any = model
    config, base = whole.config, whole.base_model
    prefix = f"{whole.base_model_prefix}."
    conv1d = config.model_type == "gpt2"
    blocks = base.h if conv1d else base.layers
    if len(blocks) < 2:
        raise ModelError(
            "model.blocks", f"the model has {len(blocks)} block(s), the attack on text reads two",
            "Leave attack.text out for this model.",
        )  # fmt: skip
    trunk = copy.deepcopy(base, {id(parameter): parameter for parameter in base.parameters()})  # weights are shared
    if conv1d:
        width = config.n_embd
        trunk.h, trunk.ln_f = blocks[:1], blocks[1].ln_1
        norm, positions, embedding = blocks[0].ln_1, base.wpe.weight, "wte.weight"
        projections = [
            Projection((f"{prefix}h.{number}.attn.c_attn.weight",), False, slice(2 * width, 3 * width))
            for number in (0, 1)
        ]
        capacity = width
    else:
        width = config.hidden_size
        trunk.layers, trunk.norm = blocks[:1], blocks[1].input_layernorm
        norm, positions, embedding = blocks[0].input_layernorm, None, "embed_tokens.weight"
        grouped = blocks[0].self_attn.v_proj.out_features < width  # fewer columns than the width: keys add theirs
        kinds = ("v_proj", "k_proj") if grouped else ("v_proj",)
        projections = [
            Projection(tuple(f"{prefix}layers.{number}.self_attn.{kind}.weight" for kind in kinds), True, slice(None))
            for number in (0, 1)
        ]
        capacity = min(width, len(kinds) * blocks[0].self_attn.v_proj.out_features)
    last = base.ln_f if conv1d else base.norm
    bias = getattr(last, "bias", None)
    tied = whole.get_output_embeddings().weight is base.get_input_embeddings().weight
    return Decoder(
        model=model,
        trunk=trunk,
        embedding=base.get_input_embeddings().weight.detach(),
        positions=None if positions is None else positions.detach(),
        norm=norm,
        projections=(projections[0], projections[1]),
        embedding_name=prefix + embedding,
        output_name=prefix + embedding if tied else "lm_head.weight",
        output_weight=whole.get_output_embeddings().weight.detach(),
        norm_name=f"{prefix}{'ln_f' if conv1d else 'norm'}.weight",
        last_norm=(last.weight.detach(), torch.zeros_like(last.weight) if bias is None else bias.detach()),
        block_size=sum(parameter.numel() for parameter in blocks[0].parameters()),
        capacity=capacity,
    )


def text_loss(model: nn.Module, tokens: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean loss over all predicted tokens: each token from those before it, padding left out.

    Args:
        model: Token ids to logits.
        tokens: Shape (B, T), padded at the end.
        lengths: Tokens of each sequence, shape (B,).
    """
    called: Any = model
    inside = torch.arange(tokens.shape[1]) < lengths[:, None]
    logits: Tensor = called(input_ids=tokens, attention_mask=inside.long(), use_cache=False).logits
    labels = torch.where(inside[:, 1:], tokens[:, 1:], -100)
    return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels.flatten(), ignore_index=-100)


def text_gradient(model: nn.Module, tokens: Tensor, lengths: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the gradient of `text_loss` for the tensors `names`, float32 and by name."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    leaves = list({id(parameters[name]): parameters[name] for name in names}.values())
    asked = {parameter: parameter.requires_grad for parameter in model.parameters()}
    try:
        for parameter in asked:
            parameter.requires_grad_(False)
        for leaf in leaves:
            leaf.requires_grad_()
        with torch.enable_grad():
            gradients = torch.autograd.grad(text_loss(model, tokens, lengths), leaves)
    finally:
        for parameter, wanted in asked.items():
            parameter.requires_grad_(wanted)
    found = {id(leaf): gradient for leaf, gradient in zip(leaves, gradients, strict=True)}
    return {name: found[id(parameters[name])] for name in names}
