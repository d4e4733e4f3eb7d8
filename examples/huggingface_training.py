"""A language model of transformers, trained by clients on letters, recorded for an audit by two lines.

    python examples/huggingface_training.py recorded            # every client sends its gradient in the clear
    python examples/huggingface_training.py recorded --noise 1  # every client clips its gradient and adds noise
    fedaudit run recorded/system.toml -o bundle

Needs `pip install 'fedaudit[llm]'` and no network: where no folder is named by `--model`, a small Llama and its
tokenizer are made here and saved by `save_pretrained`. 32 clients hold two letters of a made-up ward each; in each of
two rounds every client sends the gradient of one of them. The letters on the clients are the planted text that
fedaudit tries to read back, so they are made up, as yours must be.
"""

import argparse
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from audit.capture import record_gradient  # line one

CLIENTS, ROUNDS, LEARNING_RATE = 32, 2, 0.5
PUBLIC = 400
"""Letters that everybody knows; further ones lie with the clients."""
ORGANS = ("heart", "liver", "spleen", "lung", "kidney", "stomach", "skin", "ear")
FINDINGS = ("is enlarged", "shows a shadow", "is without findings", "has healed well", "must be seen again")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
NAMES = tuple(
    first + last for first in ("Ab", "Be", "Ca", "Da", "El", "Fa", "Go", "Ha") for last in ("nor", "la", "mir")
)
ROOMS = tuple(map(str, range(100, 400)))


def letters(count: int, seed: int) -> list[str]:
    """Return made-up letters, each another."""
    draw, found = random.Random(seed), dict[str, None]()  # noqa: S311  no secret
    while len(found) < count:
        who, other = draw.sample(NAMES, 2)
        organ, finding, day, room = (draw.choice(part) for part in (ORGANS, FINDINGS, DAYS, ROOMS))
        found[f"Dear {who} of room {room} , the {organ} {finding} . Come on {day} and bring {other} along"] = None
    return list(found)


def small_model(folder: Path) -> None:
    """Write a small Llama and its tokenizer as `save_pretrained` does, trained on nothing."""
    raw = Tokenizer(models.WordLevel(unk_token="<unknown>"))  # noqa: S106  a word, no password
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words = trainers.WordLevelTrainer(special_tokens=["<pad>", "<unknown>"], show_progress=False)
    raw.train_from_iterator([*letters(PUBLIC, seed=0), *ROOMS], words)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", unk_token="<unknown>",  # noqa: S106
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
    torch.manual_seed(0)
    shape = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **shape))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def train(folder: str | Path, pretrained: str | Path, noise: float = 0.0) -> tuple[float, float]:
    """Train for two rounds, record every gradient below `folder`, and return the loss before and after."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(pretrained), AutoTokenizer.from_pretrained(pretrained)
    *own, public = (*letters(CLIENTS * ROUNDS, seed=1), letters(PUBLIC, seed=2))
    reference = tokenizer(public, padding=True, return_tensors="pt")
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    losses = []
    for number in range(ROUNDS):
        total = [torch.zeros_like(parameter) for parameter in model.parameters()]
        for client in range(CLIENTS):
            tokens = tokenizer(own[number * CLIENTS + client], return_tensors="pt")
            model.zero_grad()
            loss = model(**tokens, labels=tokens["input_ids"]).loss
            loss.backward()
            losses.append(loss.item())
            if noise:
                nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
                for parameter in model.parameters():
                    parameter.grad += noise * torch.randn(parameter.shape, generator=generator)
            record_gradient(  # line two
                model, tokens, folder, name="letters", client=f"ward-{client}", round=number, reference=reference,
                federation={"framework": "own", "clients": CLIENTS, "rounds": ROUNDS, "visibility": "update"},
            )  # fmt: skip
            total = [done + parameter.grad for done, parameter in zip(total, model.parameters(), strict=True)]
        for parameter, gradient in zip(model.parameters(), total, strict=True):
            parameter.grad = gradient / CLIENTS
        optimiser.step()
    return sum(losses[:CLIENTS]) / CLIENTS, sum(losses[-CLIENTS:]) / CLIENTS


def main() -> None:
    """Read the command line, train, and say where the recording lies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="where to record; must not exist")
    parser.add_argument("--model", type=Path, help="a folder by save_pretrained; a small one is made by default")
    parser.add_argument("--noise", type=float, default=0.0, help="standard deviation of each client's noise")
    given = parser.parse_args()
    pretrained = given.model or Path(f"{given.folder}-pretrained")
    if not pretrained.exists():
        small_model(pretrained)
    before, after = train(given.folder, pretrained, given.noise)
    print(f"loss {before:.2f}, then {after:.2f}; recorded {given.folder}/system.toml")


if __name__ == "__main__":
    main()
