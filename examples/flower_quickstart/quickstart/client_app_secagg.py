"""The same clients for Flower's SecAgg+, which speaks Flower's older API."""

from typing import Any

import torch
from flwr.app import Context
from flwr.client import Client, NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.clientapp import ClientApp

from quickstart.task import Net, data_of
from quickstart.task import train as train_fn


class FlowerClient(NumPyClient):
    """Trains on one client's share."""

    def __init__(self, context: Context) -> None:
        self.config = context.run_config
        self.trainloader, _ = data_of(context)

    def fit(self, parameters: Any, config: dict[str, Any]) -> tuple[Any, int, dict[str, Any]]:
        """Train the model on local data."""
        net = Net()
        net.load_state_dict(dict(zip(net.state_dict(), map(torch.tensor, parameters), strict=True)))
        loss = train_fn(net, self.trainloader, int(self.config["local-epochs"]), float(config["lr"]))
        arrays = [tensor.numpy() for tensor in net.state_dict().values()]
        return arrays, len(self.trainloader.dataset), {"train_loss": loss}


def client_fn(context: Context) -> Client:
    """Return the client of a node."""
    return FlowerClient(context).to_client()


app = ClientApp(client_fn=client_fn, mods=[secaggplus_mod])
