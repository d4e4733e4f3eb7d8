"""Token sequences read from the gradient of a GPT-2-like model of random weights, two blocks of width 256."""

import importlib
import time
from collections.abc import Iterator

import torch
from attacks_breaching import lenient
from attacks_rows import Row

from audit.attacks.text_decoder import decoder_of, text_gradient
from audit.attacks.text_search import Knowledge, read_text

SIZES = {"small": (12, 20), "standard": (12, 20), "full": (12, 20)}
"""Sequences of a batch, tokens of each."""
WIDTH, VOCABULARY, BLOCKS, HEADS = 256, 5000, 2, 4
BOUND_SECONDS = 15.0


def measure(points: str, seed: int, _device: str) -> Iterator[Row]:
    """Yield the row; none without transformers."""
    count, length = SIZES[points]
    what = f"text, GPT-2-like, width {WIDTH}, {count} x {length} tokens"
    try:
        with lenient():
            transformers = importlib.import_module("transformers")
            build = transformers.GPT2LMHeadModel  # loaded lazily: only a class tells whether it can be used
    except (ImportError, RuntimeError):
        yield Row(what, 0, "", note="transformers cannot be imported: not measured")
        return
    torch.manual_seed(seed)
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": 0, "eos_token_id": 0}
    shape = {"vocab_size": VOCABULARY, "n_positions": 32, "n_embd": WIDTH, "n_layer": BLOCKS, "n_head": HEADS}
    model = build(transformers.GPT2Config(**shape, **still)).eval()
    decoder, tokens = decoder_of(model), torch.randint(VOCABULARY, (count, length))
    gradient = text_gradient(model, tokens, torch.full((count,), length), tuple(decoder.reads))
    begun = time.process_time()
    found = read_text(decoder, gradient, Knowledge(count, length))
    seconds = time.process_time() - begun
    exact = len(set(found.sequences) & {tuple(row) for row in tokens.tolist()})
    met = exact == count and seconds < BOUND_SECONDS
    yield Row(what, 100 * exact / count, "%", f"100 %, <{BOUND_SECONDS:.0f} s", met, n=count, note=f"{seconds:.1f} s")
