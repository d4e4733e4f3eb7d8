"""What is trained, on what, and how; nothing in here knows of an audit."""

import functools
from typing import TYPE_CHECKING, Any

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

if TYPE_CHECKING:
    from flwr.app import Context


class Net(nn.Module):
    """A network for images of 8 x 8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(64, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, shape (B, 10)."""
        return self.fc2(torch.relu(self.fc1(x)))


def data_of(context: "Context") -> tuple[Any, Any]:
    """Return the loaders of the client whose context it is."""
    held, config = context.node_config, context.run_config
    numbers = int(held["partition-id"]), int(held["num-partitions"])
    return load_data(*numbers, int(config["batch-size"]), int(config["planted"]))


def load_data(partition_id: int, num_partitions: int, batch_size: int, planted: int) -> tuple[Any, Any]:
    """Return a client's loaders for training and for testing, of its share of the 1,797 digits.

    Args:
        partition_id: Whose share.
        num_partitions: How many shares there are.
        batch_size: Records of a step.
        planted: Records to keep for training; 0 for all.
    """
    x, y = digits()
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    share = order[partition_id::num_partitions]
    split = planted or len(share) * 4 // 5
    data, test = (TensorDataset(x[part], y[part]) for part in (share[:split], share[split:]))
    return DataLoader(data, batch_size=batch_size, shuffle=True), DataLoader(test, batch_size=batch_size)


@functools.cache
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Return scikit-learn's handwritten digits as rows of 64 pixels in [0, 1], and their labels."""
    found = load_digits()
    return torch.tensor(found.data / 16, dtype=torch.float32), torch.tensor(found.target)


def train(net: nn.Module, trainloader: Any, epochs: int, lr: float) -> float:
    """Train the network, and return the mean loss."""
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    criterion = nn.CrossEntropyLoss()
    net.train()
    running_loss = 0.0
    for _ in range(epochs):
        for x, y in trainloader:
            optimizer.zero_grad()
            loss = criterion(net(x), y)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
    return running_loss / (epochs * len(trainloader))


def test(net: nn.Module, testloader: Any) -> tuple[float, float]:
    """Return the mean loss and the share of right answers."""
    loss, right, seen = 0.0, 0, 0
    net.eval()
    with torch.no_grad():
        for x, y in testloader:
            outputs = net(x)
            loss += nn.functional.cross_entropy(outputs, y, reduction="sum").item()
            right, seen = right + int((outputs.argmax(1) == y).sum()), seen + len(y)
    return loss / seen, right / seen
