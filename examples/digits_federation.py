"""A federation on disk that has something to forget: ten clients with handwritten digits, one of them corrupt.

    python examples/digits_federation.py office              # client 0 stamped a patch on half of its digits
    python examples/digits_federation.py office --case noisy # client 0 gave half of its digits wrong labels
    fedaudit unlearn federated office --request client:0 -o forgotten

Writes `federation.toml` and the examples beside it, as `fedaudit unlearn federated` reads them: who holds what, a test
set, a holdout, a twin (held-out digits corrupted as client 0's are) and, where a patch is planted, probes that bear it.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from unlearning.federated import scenarios

CASES = {"backdoor": scenarios.backdoor, "noisy": scenarios.noisy, "small": scenarios.small}
FILE = """\
schema = "fedaudit.federation/1"

[data]
{files}
[model]
architecture = "mlp"
hidden = 64
classes = 10

[training]
rounds = 30
local_epochs = 2
batch_size = 32
learning_rate = 0.1
seed = {seed}
"""


def write(folder: str | Path, case: str = "backdoor", seed: int = 7) -> str:
    """Write the federation below `folder`, which must not be there, and return what is planted in it."""
    place = Path(folder)
    place.mkdir(parents=True)
    x, y = load_digits(return_X_y=True)
    planted = CASES[case]((x / 16).astype(np.float32), y.astype(np.int64), np.random.default_rng(seed))
    data = planted.data
    np.savez(
        place / "train.npz",
        x=torch.cat([held.x for held in data.clients]).numpy(),
        y=torch.cat([held.y for held in data.clients]).numpy(),
        client=np.repeat(np.arange(len(data.clients)), [len(held) for held in data.clients]),
    )
    sets = {"test": data.test, "holdout": data.holdout, "twin": data.twin, "probes": data.probes}
    for name, held in sets.items():
        if held is not None:
            np.savez(place / f"{name}.npz", x=held.x.numpy(), y=held.y.numpy())
    named = ["train", *(name for name, held in sets.items() if held is not None)]
    files = "".join(f'{name} = "{name}.npz"\n' for name in named)
    (place / "federation.toml").write_text(FILE.format(files=files, seed=seed), encoding="utf-8")
    return planted.planted


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a federation of ten clients that has something to forget.")
    parser.add_argument("folder")
    parser.add_argument("--case", choices=CASES, default="backdoor")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    print(f"{write(given.folder, given.case, given.seed)} {given.folder}/federation.toml")
