"""A model trained by Opacus with differential privacy, written down for an audit by three lines.

    python examples/opacus_training.py released              # trains as it declares
    python examples/opacus_training.py released --noise 0.5  # trains with half of the noise that it declares
    fedaudit run released/system.toml -o bundle

Half of scikit-learn's 1,797 handwritten digits are the training records, the other half are held back. The training is
Opacus's own: `PrivacyEngine.make_private`, batches drawn by coins, an epsilon of the accountant's. What fedaudit needs
comes after it: how the trainer was configured, and which records were in and which were not. What is *declared* is
typed by hand, for it is what a data sheet would say, and the audit holds it against what was recorded.
"""

import argparse
from pathlib import Path

import torch
from opacus import PrivacyEngine
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from audit.capture import record_model  # line one
from audit.dp.record import from_opacus  # line two

EPOCHS, BATCH, NOISE, NORM, DELTA = 20, 64, 1.0, 1.0, 1e-4
DECLARED = {
    "unit": "example", "noise_multiplier": 1.0, "clipping_norm": 1.0, "sampling": "poisson", "sampling_rate": 1 / 15,
    "steps": 300, "accountant": "prv", "epsilon": 6.9, "delta": 1e-4,
}  # fmt: skip
"""What the data sheet says, typed by hand."""


def halves() -> tuple[TensorDataset, TensorDataset]:
    """Return the digits that are trained on, and those that are not: pixels in 0 to 1, shape (64,), and labels."""
    x, y = load_digits(return_X_y=True)
    records, labels = torch.from_numpy(x).float() / 16, torch.from_numpy(y).long()
    order = torch.randperm(len(records), generator=torch.Generator().manual_seed(0))
    members, others = order[: len(order) // 2], order[len(order) // 2 :]
    return TensorDataset(records[members], labels[members]), TensorDataset(records[others], labels[others])


def accuracy(model: nn.Module, held_back: TensorDataset) -> float:
    """Return the share of right answers."""
    x, y = held_back.tensors
    with torch.no_grad():
        return float((model(x).argmax(dim=1) == y).float().mean())


def train(folder: str | Path, noise: float = NOISE) -> tuple[float, float]:
    """Train, write the model down in `folder`, and return the epsilon of the accountant and the accuracy."""
    members, others = halves()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    engine = PrivacyEngine()
    private, optimizer, loader = engine.make_private(
        module=model, optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
        data_loader=DataLoader(members, batch_size=BATCH), noise_multiplier=noise, max_grad_norm=NORM,
    )  # fmt: skip
    for _ in range(EPOCHS):
        for x, y in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(private(x), y).backward()
            optimizer.step()
    epsilon, right = engine.get_epsilon(DELTA), accuracy(private, others)
    record_model(  # line three
        private, folder, name="digits-private", members=members.tensors, nonmembers=others.tensors,
        dp_record=from_opacus(engine, optimizer, loader, private), classes=10,
        federation={"differential_privacy": DECLARED}, claims={"accuracy": 0.9},
    )  # fmt: skip
    return epsilon, right


def main() -> None:
    """Read the command line, train, and say where the model lies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="where to write; must not exist")
    parser.add_argument("--noise", type=float, default=NOISE, help="what the trainer really uses, whatever it declares")
    given = parser.parse_args()
    epsilon, right = train(given.folder, given.noise)
    print(f"epsilon {epsilon:.2f} at delta {DELTA:g}, accuracy {right:.0%}; {given.folder}/system.toml")


if __name__ == "__main__":
    main()
