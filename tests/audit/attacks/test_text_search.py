"""Exact recovery of token sequences from gradients of tiny GPT-2- and Llama-like models (extra [llm])."""

import pytest
import torch
from torch import nn

from audit.attacks.text_decoder import decoder_of, text_gradient
from audit.attacks.text_search import Knowledge, Recovered, read_text
from tests.audit.attacks.text_federation import clipped, gpt2, gradient_of, llama, texts
from unlearning.errors import ModelError

pytestmark = pytest.mark.llm

MODELS = {
    "gpt2": lambda **keys: gpt2(**keys),  # Conv1D: queries, keys and values in one tensor, input first
    "gpt2, untied": lambda **keys: gpt2(tie_word_embeddings=False, **keys),
    "llama": lambda **keys: llama(**keys),
    "llama, tied": lambda **keys: llama(tie_word_embeddings=True, **keys),
    "llama, grouped queries": lambda **keys: llama(groups=2, **keys),
}
ALL = pytest.mark.parametrize("build", MODELS.values(), ids=MODELS.keys())


def read(model: nn.Module, rows: list[list[int]], **change: float) -> Recovered:
    longest = max(map(len, rows))
    tokens = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    gradients = gradient_of(model, tokens, torch.tensor([len(row) for row in rows]))
    kept = decoder_of(model)
    own = {name: change.get("scale", 1.0) * gradients[name] for name in kept.reads if name in gradients}
    return read_text(kept, own, Knowledge(len(rows), longest))


@ALL
def test_states_are_those_that_the_model_computes(build) -> None:
    model = build(layers=3)
    decoder, tokens = decoder_of(model), texts(2, 6, 120, 5)
    states = model(input_ids=tokens, output_hidden_states=True).hidden_states
    blocks = model.transformer.h if hasattr(model, "transformer") else model.model.layers
    norms = [getattr(block, "ln_1", None) or block.input_layernorm for block in blocks]
    for position in range(6):
        expected = norms[0](states[0][:, position])
        torch.testing.assert_close(decoder.first_inputs(tokens[:, position], position), expected)
    torch.testing.assert_close(decoder.trunk(input_ids=tokens).last_hidden_state, norms[1](states[1]))
    torch.testing.assert_close(decoder.output_inputs(tokens[0]), states[-1][0])


@ALL
def test_the_loss_is_that_of_transformers(build) -> None:
    model, tokens = build(), texts(2, 6, 120, 5)
    lengths = torch.tensor([6, 4])
    mask = (torch.arange(6) < lengths[:, None]).long()
    model.zero_grad()
    model(input_ids=tokens, attention_mask=mask, labels=tokens.masked_fill(mask == 0, -100)).loss.backward()
    names = decoder_of(model).reads
    expected = {name: parameter.grad for name, parameter in model.named_parameters() if name in names}
    for name, gradient in text_gradient(model, tokens, lengths, names).items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


@ALL
@pytest.mark.parametrize("seed", range(3))
def test_a_sequence_comes_back_token_for_token(build, seed: int) -> None:
    model = build(seed=seed)
    [row] = texts(1, 12, 120, seed).tolist()
    assert read(model, [row]).sequences == (tuple(row),)


@ALL
def test_sequences_of_a_batch_come_back_whatever_their_lengths(build) -> None:
    rows = texts(3, 9, 120, 7).tolist()
    rows[1] = rows[1][:5]
    assert set(read(build(width=48), rows).sequences) == {tuple(row) for row in rows}


@ALL
@pytest.mark.parametrize(
    "row",
    [[5, 5, 9, 5, 9, 2, 7], [5, 5, 5, 5, 5], [3, 8, 3, 8, 3, 8], [4, 9], [1, 2, 3, 4, 3]],
    ids=["repeated", "one token", "alternating", "two tokens", "the last was read"],
)
def test_repeated_tokens_are_told_apart(build, row: list[int]) -> None:
    assert read(build(), [row]).sequences == (tuple(row),)


def test_rotary_positions_do_not_answer_the_first_token_again_and_again() -> None:
    rows = [[11, 12, 13, 14, 15, 16], [11, 11, 20, 21, 22, 23]]  # a second 11 leaves the state of the first behind
    assert set(read(llama(width=48), rows).sequences) == {tuple(row) for row in rows}


@ALL
@pytest.mark.parametrize("scale", [1e-6, 1e4])
def test_the_scale_of_an_update_changes_nothing(build, scale: float) -> None:
    [row] = texts(1, 10, 120, 3).tolist()
    assert read(build(), [row], scale=scale).sequences == (tuple(row),)


@ALL
@pytest.mark.parametrize(
    "store",
    [lambda t: t.half().float(), lambda t: t.bfloat16().float(), lambda t: torch.round(t / t.abs().max() * 127)],
    ids=["half", "bfloat16", "int8"],
)
def test_few_digits_protect_little(build, store) -> None:
    model = build()
    decoder, right = decoder_of(model), 0
    for seed in range(4):
        tokens = texts(1, 8, 120, seed)
        own = {name: store(clipped(gradient_of(model, tokens))[name]) for name in decoder.reads}
        bag = set(read_text(decoder, own, Knowledge(1, 8)).bag)
        right += set(tokens[0].tolist()) <= bag
    assert right == 4


def test_frozen_embeddings_leave_only_the_last_token_in_doubt() -> None:
    model = llama()
    decoder, tokens = decoder_of(model), texts(1, 8, 120, 4)
    own = {name: gradient_of(model, tokens)[name] for projection in decoder.projections for name in projection.tensors}
    assert read_text(decoder, own, Knowledge(1, 8)).sequences == (tuple(tokens[0, :-1].tolist()),)


def test_noise_is_not_taken_for_tokens() -> None:
    model = gpt2()
    decoder, hits = decoder_of(model), 0
    generator = torch.Generator().manual_seed(0)
    for seed in range(10):
        tokens = texts(1, 8, 120, seed)
        noise = {name: torch.randn(t.shape, generator=generator) for name, t in gradient_of(model, tokens).items()}
        found = read_text(decoder, noise, Knowledge(1, 8))
        assert not found.inside
        hits += sum(a == b for a, b in zip(found.sequences[0], tokens[0].tolist(), strict=True))
    assert hits <= 6  # of 80 tokens at chance 1/120


def test_a_vanished_gradient_gives_nothing() -> None:
    decoder = decoder_of(gpt2())
    zero = {name: torch.zeros_like(t) for name, t in decoder.model.state_dict().items() if name in decoder.reads}
    assert read_text(decoder, zero, Knowledge(1, 8)) == Recovered.nothing()


def test_a_model_of_one_block_is_told() -> None:
    with pytest.raises(ModelError, match="reads two"):
        decoder_of(gpt2(layers=1))
