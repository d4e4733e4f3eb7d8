"""A small federation, once simulated and once as Flower nodes, from the same data and the same draws."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from secagg.flower.harness import InProcessGrid, node_id
from unlearning.federated.data import ClientData, FederatedData, SimulatedFederation
from unlearning.federated.engine import Sequential
from unlearning.federated.flower import phase_of, unlearn_max, unlearn_min
from unlearning.federated.methods import Setting, method
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.request import UnlearningRequest, split
from unlearning.federated.rounds import Models, one_of, train_models
from unlearning.models import mlp

CLIENTS, FORGET, SEED, RATE = 4, 0, 5, 0.1


@dataclass(frozen=True)
class Loader:
    """Batches of a client's examples in their order, as a DataLoader without shuffling gives them."""

    data: ClientData
    batch_size: int = 8

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return zip(self.data.x.split(self.batch_size), self.data.y.split(self.batch_size), strict=True)


def clusters(count: int, generator: torch.Generator) -> ClientData:
    """Three classes around points of their own, in eight dimensions."""
    y = torch.randint(0, 3, (count,), generator=generator)
    centres = 2 * torch.eye(3, 8)
    return ClientData(centres[y] + 0.7 * torch.randn(count, 8, generator=generator), y)


def federation(count: int = CLIENTS) -> SimulatedFederation:
    """Clients of unequal size; client 0 has labels of its own making, so that there is something to forget."""
    generator = torch.Generator().manual_seed(3)
    clients = [clusters(20 + 4 * client, generator) for client in range(count)]
    clients[FORGET] = ClientData(clients[FORGET].x, (clients[FORGET].y + 1) % 3)
    recipe = TrainingRecipe(rounds=4, batch_size=8, learning_rate=RATE)
    return SimulatedFederation(FederatedData(tuple(clients), clusters(60, generator)), recipe, network)


def network() -> torch.nn.Module:
    return mlp((8,), 6, 3)


def trained(simulated: SimulatedFederation) -> Models:
    """The model before, with no rounds behind it: Flower counts its rounds from 1."""
    engine = Sequential(simulated, (SEED,))
    done = train_models(engine, dict(enumerate(simulated.data.clients)), simulated.recipe)
    return Models(done.tensors)


def unlearnt_in_process(simulated: SimulatedFederation, before: Models, **parameters: Any) -> Models:
    """What the simulated f-FUM delivers of the same rounds, without going back to the best one."""
    chosen = method("ffum", **parameters)
    setting = Setting(
        Sequential(simulated, (SEED,)), split(simulated.data, UnlearningRequest.client(FORGET)), before,
        kept=parameters["rounds"],
    )  # fmt: skip
    return chosen.run(setting).models


def client_app(clients: Sequence[ClientData], mods: list[Any] | None = None, batch_size: int = 8) -> Any:
    """One app for all nodes, as in a simulation; plain training moves every weight by its node's number plus 1."""
    from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp

    app = ClientApp(mods=mods or [])

    def loader(context: Any) -> Loader:
        return Loader(clients[int(context.node_config["partition-id"])], batch_size)

    @app.train("unlearn_max")
    def forget(message: Any, context: Any) -> Any:
        return unlearn_max(message, context, model=network(), loader=loader(context))

    @app.train()
    def train(message: Any, context: Any) -> Any:
        if phase_of(message) == "min":
            return unlearn_min(message, context, model=network(), loader=loader(context), learning_rate=RATE)
        arrays = message.content["arrays"].to_torch_state_dict()
        moved = {name: one + (context.node_config["partition-id"] + 1) for name, one in arrays.items()}
        metrics = MetricRecord({"num-examples": len(loader(context).data)})
        return Message(RecordDict({"arrays": ArrayRecord(moved), "metrics": metrics}), reply_to=message)

    return app


def grid_of(simulated: SimulatedFederation, mods: list[Any] | None = None, **options: Any) -> InProcessGrid:
    return InProcessGrid([client_app(simulated.data.clients, mods)] * CLIENTS, **options)


def arrays_of(models: Models) -> Any:
    from flwr.app import ArrayRecord

    return ArrayRecord(one_of(models.tensors, 0))


def fed_avg(nodes: int = CLIENTS - 1, **options: Any) -> Any:
    from flwr.serverapp.strategy import FedAvg

    return FedAvg(fraction_evaluate=0.0, min_train_nodes=nodes, min_available_nodes=nodes, **options)


def furthest(record: Any, models: Models) -> float:
    """The largest absolute difference between a Flower model and a simulated one."""
    found: Mapping[str, torch.Tensor] = record.to_torch_state_dict()
    return max(float((found[name] - tensor).abs().max()) for name, tensor in one_of(models.tensors, 0).items())


FORGET_NODE = node_id(FORGET)
