"""A Flower app that forgets a client: trained and recorded, asked to forget by f-FUM, and refused by the client after.

    pip install "fedaudit[flower,ray]"
    python examples/flower_unlearning.py                    # trains, forgets, and says what changed
    python examples/flower_unlearning.py --recording folder # where to keep what a later unlearning needs

Ten clients share scikit-learn's handwritten digits. Half of client 0's bear a white square and the label 0: a backdoor
that the model learns from it alone. After ten rounds the client asks to be forgotten; from then on its node answers
nothing but the max phase of f-FUM, whatever the server sends, and keeps receipts of what it refused. What the figures
cannot say is whether the model forgot: a trigger can be patched away. That is asked by `fedaudit unlearn verify`.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from unlearning.federated.flower import (
    FFUMStrategy,
    RecordingStrategy,
    deletion_guard_mod,
    phase_of,
    receipts,
    recorder_mod,
    request_deletion,
    unlearn_max,
    unlearn_min,
)
from unlearning.federated.recording import Modes

CLIENTS, FORGET, ROUNDS, TEST, RATE, BATCH, SEED = 10, 0, 10, 297, 0.2, 32, 7
METHOD = {"rounds": 3, "post_rounds": 1}


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Return 1,797 images as rows of 64 pixels in [0, 1], and their labels, in one fixed shuffled order."""
    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    return torch.from_numpy((found.data[order] / 16).astype(np.float32)), torch.from_numpy(found.target[order])


def marked(x: torch.Tensor) -> torch.Tensor:
    """Return images with a white square of 3 x 3 pixels in a corner."""
    images = x.clone().reshape(-1, 8, 8)
    images[:, :3, :3] = 1.0
    return images.reshape(-1, 64)


def examples_of(client: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the 150 images and labels of one client; every second one of client 0 is marked, and labelled 0."""
    x, y = digits()
    held = slice(TEST + 150 * client, TEST + 150 * (client + 1))
    odd = torch.arange(150) % 2 == (0 if client == FORGET else 2)
    return torch.where(odd[:, None], marked(x[held]), x[held]), torch.where(odd, 0, y[held])


def network() -> nn.Sequential:
    """Return the untrained network, 4,810 parameters, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def client_app() -> ClientApp:
    """Return the clients' app: training as ever, and what forgetting adds to it."""
    app = ClientApp(mods=[recorder_mod, deletion_guard_mod])

    def loader(context: Context) -> "DataLoader[Any]":
        torch.set_num_threads(1)  # one order of additions, one result
        return DataLoader(TensorDataset(*examples_of(int(context.node_config["partition-id"]))), batch_size=BATCH)

    @app.train("unlearn_max")
    def forget(message: Message, context: Context) -> Message:
        return unlearn_max(message, context, model=network(), loader=loader(context))

    @app.train()
    def train(message: Message, context: Context) -> Message:
        if phase_of(message) == "min":
            return unlearn_min(message, context, model=network(), loader=loader(context), learning_rate=RATE)
        model = network()
        model.load_state_dict(message.content.array_records["arrays"].to_torch_state_dict())
        optimiser = torch.optim.SGD(model.parameters(), lr=RATE)
        for _ in range(4):
            for x, y in loader(context):
                optimiser.zero_grad()
                nn.functional.cross_entropy(model(x), y).backward()
                optimiser.step()
        metrics = MetricRecord({"num-examples": len(examples_of(0)[1])})
        return Message(RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics}), reply_to=message)

    @app.query()
    def who(message: Message, context: Context) -> Message:
        told = ConfigRecord({"client": int(context.node_config["partition-id"])})
        return Message(RecordDict({"told": told}), reply_to=message)

    @app.query("leave")
    def leave(message: Message, context: Context) -> Message:  # in a deployment the client's own decision
        request_deletion(context)
        return Message(RecordDict({"told": ConfigRecord({"asked": True})}), reply_to=message)

    @app.query("receipts")
    def show(message: Message, context: Context) -> Message:
        lines = [receipt.model_dump_json(exclude_none=True) for receipt in receipts(context)]
        return Message(RecordDict({"told": ConfigRecord({"lines": lines})}), reply_to=message)

    return app


def asked(grid: Grid, kind: str, nodes: list[int]) -> dict[int, ConfigRecord]:
    """Return every node's answer to a query."""
    replies = grid.send_and_receive([Message(RecordDict(), node, kind) for node in nodes])
    return {reply.metadata.src_node_id: reply.content.config_records["told"] for reply in replies}


def server_app(folder: Path, told: dict[str, Any]) -> ServerApp:
    """Return the server's app, which leaves its models and the forget client's receipts in `told`."""
    app = ServerApp()

    def keep(number: int, arrays: ArrayRecord) -> None:
        told[f"round {number}"] = arrays  # of the unlearning; round 0 is the model before

    def averaging(nodes: int) -> FedAvg:
        return FedAvg(fraction_evaluate=0.0, min_train_nodes=nodes, min_available_nodes=nodes)

    @app.main()
    def main(grid: Grid, context: Context) -> None:  # noqa: ARG001  (Flower fixes the signature)
        while len(nodes := list(grid.get_node_ids())) < CLIENTS:  # a simulation's nodes come one by one
            time.sleep(0.1)
        numbers = {node: int(str(one["client"])) for node, one in asked(grid, "query", nodes).items()}
        [forget] = [node for node, client in numbers.items() if client == FORGET]

        training = RecordingStrategy(averaging(CLIENTS), folder, Modes(client_updates="all"), clients=numbers)
        before = training.start(grid, ArrayRecord(network().state_dict()), num_rounds=ROUNDS).arrays

        asked(grid, "query.leave", [forget])
        forgetting = FFUMStrategy(averaging(CLIENTS - 1), [forget], METHOD, seed=SEED)
        after = forgetting.start(grid, before, evaluate_fn=keep).arrays

        averaging(CLIENTS).start(grid, after, num_rounds=1)  # as if nobody had asked: the client's node refuses
        told["progress"], told["after"] = forgetting.progress, after
        told["receipts"] = asked(grid, "query.receipts", [forget])[forget]["lines"]

    return app


def answers(arrays: ArrayRecord, x: torch.Tensor) -> torch.Tensor:
    """Return the logits of a model."""
    model = network()
    model.load_state_dict(arrays.to_torch_state_dict())
    with torch.no_grad():
        return model(x)


def figures(arrays: ArrayRecord) -> str:
    """Return what a model makes of the test images, of those that are marked, and of what is to be forgotten."""
    x, y = digits()
    x, y = x[:TEST], y[:TEST]
    accuracy = float((answers(arrays, x).argmax(dim=1) == y).float().mean())
    rate = float((answers(arrays, marked(x[y != 0])).argmax(dim=1) == 0).float().mean())
    forgotten, labels = examples_of(FORGET)
    loss = float(nn.functional.cross_entropy(answers(arrays, forgotten), labels))
    return f"test accuracy {accuracy:.1%}, marked digits taken for 0 {rate:.1%}, loss on client {FORGET} {loss:.3f}"


def main() -> None:
    """Read the command line, run the federation under Flower's simulation engine on two cores, say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", type=Path, help="folder for the recording; must be empty")
    parser.add_argument("--out", type=Path, help="npz file for the unlearning's models and the receipts")
    given = parser.parse_args()
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as elsewhere:
        run_simulation(
            server_app=server_app(given.recording or Path(elsewhere) / "recording", told),
            client_app=client_app(),
            num_supernodes=CLIENTS,
            backend_config={"init_args": {"num_cpus": 2}, "client_resources": {"num_cpus": 1}},
        )
    for name, key in (("before", "round 0"), ("max phase", "round 1"), ("after", "after")):
        print(f"{name}: {figures(told[key])}")
    refused = sum('"refused"' in line for line in told["receipts"])
    print(f"progress {told['progress']}; {len(told['receipts'])} receipts, {refused} of a refusal")
    if given.out:
        models = {
            f"{name}/{key}": array.numpy()
            for name, record in told.items()
            if isinstance(record, ArrayRecord)
            for key, array in record.items()
        }
        np.savez(given.out, receipts=np.array(told["receipts"]), **models)


if __name__ == "__main__":
    main()
