"""A federated training loop in plain PyTorch, recorded for an audit by two lines.

    python examples/plain_training.py recorded            # every client sends its gradient in the clear
    python examples/plain_training.py recorded --noise 1  # every client clips its gradient and adds noise
    fedaudit run recorded/system.toml -o bundle

Sixteen clients tell three kinds of wine apart (scikit-learn's wine data: 13 measurements a bottle). Each of their
records is a blend of two bottles of one kind, in each round every client sends the gradient of one blend, and the
bottles themselves are the test. Two lines, marked below, are all that fedaudit asks for; the blends on the clients are
the planted records that it tries to read back.
"""

import argparse
from pathlib import Path

import torch
from sklearn.datasets import load_wine
from torch import nn

from audit.capture import record_gradient  # line one

CLIENTS, ROUNDS, LEARNING_RATE = 16, 6, 1.0
PUBLIC = 800
"""Blends that everybody knows; further ones lie with the clients."""


def bottles() -> tuple[torch.Tensor, torch.Tensor]:
    """Return 178 standardised records of 13 measurements, and their kinds."""
    x, y = load_wine(return_X_y=True)
    records = torch.from_numpy(x).float()
    return (records - records.mean(dim=0)) / records.std(dim=0), torch.from_numpy(y).long()


def blends(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return blends of two different bottles of one kind each, and their kinds."""
    x, y = bottles()
    first = torch.randint(len(x), (count,), generator=generator)
    alike = ((y[first, None] == y) & (first[:, None] != torch.arange(len(x)))).float()
    second = torch.multinomial(alike, 1, generator=generator)[:, 0]
    share = torch.rand((count, 1), generator=generator)
    return share * x[first] + (1 - share) * x[second], y[first]


def train(folder: str | Path, noise: float = 0.0) -> float:
    """Train for six rounds, record every update below `folder`, and return the accuracy on the bottles."""
    generator = torch.Generator().manual_seed(1)
    x, y = blends(CLIENTS * ROUNDS, generator)
    public = blends(PUBLIC, generator)
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(13, 64), nn.ReLU(), nn.Linear(64, 3))
    optimiser = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    for number in range(ROUNDS):
        total = [torch.zeros_like(parameter) for parameter in model.parameters()]
        for client in range(CLIENTS):
            own = slice(number * CLIENTS + client, number * CLIENTS + client + 1)
            model.zero_grad()
            nn.functional.cross_entropy(model(x[own]), y[own]).backward()
            if noise:
                nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
                for parameter in model.parameters():
                    parameter.grad += noise * torch.randn_like(parameter)
            record_gradient(  # line two
                model, (x[own], y[own]), folder, name="wine", client=f"cellar-{client}", round=number, classes=3,
                federation={"framework": "own", "clients": CLIENTS, "rounds": ROUNDS, "visibility": "update"},
                reference=public,
            )  # fmt: skip
            total = [done + parameter.grad for done, parameter in zip(total, model.parameters(), strict=True)]
        for parameter, gradient in zip(model.parameters(), total, strict=True):
            parameter.grad = gradient / CLIENTS
        optimiser.step()
    x, y = bottles()
    with torch.no_grad():
        return float((model(x).argmax(dim=1) == y).float().mean())


def main() -> None:
    """Read the command line, train, and say where the recording lies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="where to record; must not exist")
    parser.add_argument("--noise", type=float, default=0.0, help="standard deviation of each client's noise")
    given = parser.parse_args()
    accuracy = train(given.folder, given.noise)
    print(f"accuracy {accuracy:.0%}; recorded {given.folder}/system.toml")


if __name__ == "__main__":
    main()
