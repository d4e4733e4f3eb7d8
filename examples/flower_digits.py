"""A Flower app with secure aggregation: two lines more than without, and the same model at the end.

    pip install "fedaudit[flower,ray]"
    python examples/flower_digits.py                      # trains with and without, and compares
    python examples/flower_digits.py --transcripts rounds # records each secure round as well
    fedaudit secagg verify-transcript rounds/round-*

Ten clients with unequal shares of scikit-learn's handwritten digits train a small network by federated averaging under
Flower's simulation engine. Flower's own FedAvg runs unchanged; it just never sees what one client sends. Local training
is the same to the last bit in both runs, so what the models differ by is the secure aggregation's own rounding.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn

from secagg.flower.message import SecAggConfig, SecAggGrid, secagg_mod
from secagg.quantize import Quantization
from secagg.transcript import TranscriptWriter

CLIENTS, ROUNDS, TEST, MOST_EXAMPLES = 10, 3, 297, 1000
SECURE = SecAggConfig(  # weights as FedAvg has them: the numbers of examples, which nobody learns
    modulus_bits=64, quantization=Quantization(clipping_range=8.0, levels=2**22, weighting="integer", max_weight=1000)
)
Model = dict[str, NDArray[np.float32]]


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Return 1,797 images as rows of 64 pixels in [0, 1], and their labels, in one fixed shuffled order."""
    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    return torch.from_numpy((found.data[order] / 16).astype(np.float32)), torch.from_numpy(found.target[order])


def examples_of(client: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the images and labels of one client; client 9 holds ten times as many as client 0."""
    x, y = digits()
    ends = TEST + np.cumsum([0, *range(1, CLIENTS + 1)]) * (len(y) - TEST) // sum(range(1, CLIENTS + 1))
    return x[ends[client] : ends[client + 1]], y[ends[client] : ends[client + 1]]


def network() -> nn.Sequential:
    """Return the untrained network, 4,810 parameters, always the same.

    It is smooth, so a difference of one rounding stays one; at the kink of a ReLU it can switch a unit for one example,
    and move single weights by some 5e-5.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10))


def trained(model: dict[str, torch.Tensor], client: int, round_number: int) -> tuple[dict[str, torch.Tensor], int]:
    """Return a client's model after two passes over its examples, and how many it has."""
    torch.set_num_threads(1)  # one order of additions, one result
    x, y = examples_of(client)
    net = network()
    net.load_state_dict(model)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.2)
    generator = torch.Generator().manual_seed(1000 * round_number + client)
    for _ in range(2):
        for batch in torch.randperm(len(y), generator=generator).split(16):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
            optimiser.step()
    return net.state_dict(), len(y)


def client_app(secure: bool) -> ClientApp:
    """Return the clients' app."""
    app = ClientApp()

    @app.train(mods=[secagg_mod()] if secure else [])  # line one
    def train(message: Message, context: Context) -> Message:
        client, number = int(context.node_config["partition-id"]), int(message.content["config"]["server-round"])
        model, examples = trained(message.content["arrays"].to_torch_state_dict(), client, number)
        metrics = MetricRecord({"num-examples": examples})
        return Message(RecordDict({"arrays": ArrayRecord(model), "metrics": metrics}), reply_to=message)

    return app


def server_app(secure: bool, keep: Callable[[int, ArrayRecord], None], transcripts: Path | None) -> ServerApp:
    """Return the server's app, which hands every round's model to `keep`."""
    app = ServerApp()

    def recorder(number: int) -> TranscriptWriter:
        return TranscriptWriter((transcripts or Path()) / f"round-{number:04}")

    @app.main()
    def main(grid: Grid, context: Context) -> None:  # noqa: ARG001  (Flower fixes the signature)
        if secure:
            grid = SecAggGrid(grid, SECURE, recorder=recorder if transcripts else None)  # line two
        strategy = FedAvg(  # all ten: the simulation's nodes come one by one, and the first two would do for FedAvg
            fraction_evaluate=0.0, min_train_nodes=CLIENTS, min_available_nodes=CLIENTS
        )
        strategy.start(grid, ArrayRecord(network().state_dict()), num_rounds=ROUNDS, evaluate_fn=keep)

    return app


def simulate(secure: bool, transcripts: Path | None = None) -> list[Model]:
    """Return the model before the first round and after each, trained under Flower's simulation engine on two cores."""
    models: list[Model] = []

    def keep(number: int, arrays: ArrayRecord) -> None:  # noqa: ARG001  (Flower fixes the signature)
        models.append({name: array.numpy().copy() for name, array in arrays.items()})

    run_simulation(
        server_app=server_app(secure, keep, transcripts),
        client_app=client_app(secure),
        num_supernodes=CLIENTS,
        backend_config={"init_args": {"num_cpus": 2}, "client_resources": {"num_cpus": 1}},
    )
    return models


def difference(one: Model, other: Model) -> float:
    """Return the largest absolute difference of two models' parameters."""
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


def accuracy(model: Model) -> float:
    """Return the share of the test images that the model tells right."""
    x, y = digits()
    net = network()
    net.load_state_dict({name: torch.from_numpy(array) for name, array in model.items()})
    with torch.no_grad():
        return float((net(x[:TEST]).argmax(dim=1) == y[:TEST]).float().mean())


def main() -> None:
    """Read the command line, train twice, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transcripts", type=Path, help="folder for the secure rounds' transcripts; must not exist")
    parser.add_argument("--out", type=Path, help="npz file for the models of both runs")
    given = parser.parse_args()
    secure, plain = simulate(True, given.transcripts), simulate(False)
    if given.out:
        runs = (("secure", secure), ("plain", plain))
        kept = {f"{run}/{n}/{k}": a for run, models in runs for n, model in enumerate(models) for k, a in model.items()}
        np.savez(given.out, **kept)
    step = 2 * SECURE.quantization.clipping_range / SECURE.quantization.levels
    print(f"one quantisation step: {step:.2e}")
    for number in range(1, ROUNDS + 1):
        print(f"round {number}: largest difference {difference(secure[number], plain[number]):.2e}")
    print(f"accuracy with secure aggregation {accuracy(secure[-1]):.1%}, without {accuracy(plain[-1]):.1%}")


if __name__ == "__main__":
    main()
