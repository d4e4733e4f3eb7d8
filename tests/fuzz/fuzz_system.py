"""System files: only errors of ours with exit 2; whatever loads names files below its folder, by their digests."""

import json
import tempfile
from pathlib import Path

from mutation import fuzz, mutate_bytes, mutate_lines, refusal

from audit.manifest import load_system
from reports.canonical import canonical
from reports.errors import FileError, SystemFileError

SEED = b"""[system]
name = "ward"
version = "1"
provider = "Example Clinics"
risk_class = "high-risk"
placed_on_market = 2026-12-01
roles = ["provider"]
conditions = ["personal-data"]
[federation]
framework = "own"
clients = 10
rounds = 3
learning_rate = 0.1
visibility = "update"
[federation.secure_aggregation]
protocol = "fedaudit-secagg"
clients = 10
degree = 9
threshold = 7
[federation.differential_privacy]
unit = "client"
noise_multiplier = 1.2
sampling = "full"
epsilon = 3.0
delta = 1e-5
[model]
layers = "layers.json"
input_shape = [4]
classes = 2
normalisation = {mean = [0.5], std = [0.25]}
[[documents]]
path = "card.md"
kind = "technical-documentation"
[digests]
"card.md" = "0000000000000000000000000000000000000000000000000000000000000000"
[claims]
epsilon = 3.0
unlearned = ["r1"]
"""


def step(data: bytes, path: Path) -> str:
    """Load a system file."""
    path.write_bytes(data)
    try:
        loaded = load_system(path)
    except (SystemFileError, FileError) as error:
        return refusal(error)
    json.loads(canonical(loaded.system))
    return "accepted"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "layers.json").write_text('[{"kind": "linear", "inputs": 4, "outputs": 2}]')
        (root / "card.md").write_text("# Card\n")
        fuzz(
            "system", [SEED], lambda data: step(data, root / "system.toml"), [mutate_lines, mutate_lines, mutate_bytes]
        )
