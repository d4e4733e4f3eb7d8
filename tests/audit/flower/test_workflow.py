"""Under Flower's SecAgg+ the capture holds what the server learns: sums, the protocol's parameters, its transcript."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from audit.flower import captured
from audit.load import planted_updates
from audit.manifest import load_system
from reports.model import System
from secagg.flower.harness import InProcessGrid, node_id, run_workflow

pytestmark = pytest.mark.flower
CLIENTS, RATE = 5, 0.5


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def records_of(context: Any) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(int(context.node_config["partition-id"]))
    return torch.rand((1, 4), generator=generator), torch.randint(0, 3, (1,), generator=generator)


def step(state: list[torch.Tensor], context: Any) -> list[torch.Tensor]:
    """Return the parameters after one step of a client."""
    model = network()
    model.load_state_dict(dict(zip(model.state_dict(), state, strict=True)))
    x, y = records_of(context)
    nn.functional.cross_entropy(model(x), y).backward()
    torch.optim.SGD(model.parameters(), lr=RATE).step()
    return list(model.state_dict().values())


def app() -> Any:
    from flwr.client import NumPyClient
    from flwr.client.mod import secaggplus_mod
    from flwr.clientapp import ClientApp

    def client_fn(context: Any) -> Any:
        class Client(NumPyClient):
            def fit(self, parameters: Any, config: Any) -> Any:
                after = step([torch.tensor(array) for array in parameters], context)
                return [tensor.numpy() for tensor in after], 1, {}

        return Client().to_client()

    client_fn.__annotations__.clear()
    from flwr.app import Context

    client_fn.__annotations__["context"] = Context
    return ClientApp(client_fn=client_fn, mods=[secaggplus_mod])


def run(folder: Path, rounds: int = 1, sampled: int = CLIENTS, drop: Any = None) -> None:
    from flwr.common import ndarrays_to_parameters
    from flwr.server.strategy import FedAvg
    from flwr.server.workflow import SecAggPlusWorkflow

    strategy = FedAvg(
        fraction_fit=sampled / CLIENTS,
        fraction_evaluate=0.0,
        min_fit_clients=sampled,
        min_available_clients=CLIENTS,
        initial_parameters=ndarrays_to_parameters([t.numpy() for t in network().state_dict().values()]),
    )
    workflow = captured(SecAggPlusWorkflow(3, 2, max_weight=1.0), folder, network, records_of, name="small", classes=3)
    with InProcessGrid([app()] * CLIENTS, drop=drop) as grid:
        run_workflow(grid, workflow, strategy, rounds)


def system_at(folder: Path) -> System:
    return load_system(folder / "system.toml").system


@pytest.fixture(scope="module")
def folder(flower: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secure") / "run"
    run(folder, rounds=2)
    return folder


def test_a_sum_is_the_mean_of_what_the_clients_would_have_sent(folder: Path) -> None:
    loaded = load_system(folder / "system.toml")
    first, second = planted_updates(loaded.system, loaded.folder).updates
    for update in (first, second):
        base = list(update.base.state_dict().values())
        contexts = [type("Context", (), {"node_config": {"partition-id": i}}) for i in range(CLIENTS)]
        after = [step(base, context) for context in contexts]
        for position, name in enumerate(update.base.state_dict()):
            expected = torch.stack([one[position].double() for one in after]).mean(0) - base[position].double()
            np.testing.assert_allclose(update.tensors[name].numpy(), expected.numpy(), atol=1e-5)
            assert float(expected.abs().max()) > 1e-3  # control: the round moved the model
        assert (update.kind, update.clients, update.divided_by) == ("aggregate", CLIENTS, float(CLIENTS))
        assert update.truth is not None
        torch.testing.assert_close(update.truth.x, torch.cat([records_of(context)[0] for context in contexts]))


def test_the_parameters_are_those_of_the_workflow(folder: Path) -> None:
    federation = system_at(folder).federation
    assert federation is not None
    assert (federation.visibility, federation.framework, federation.clients) == ("aggregate", "flower", CLIENTS)
    secure = federation.secure_aggregation
    assert secure is not None
    assert (secure.protocol, secure.clients, secure.degree, secure.threshold) == ("flower-secaggplus", CLIENTS, 2, 2)
    assert (secure.clipping_range, secure.quantization_levels, secure.modulus_bits) == (8.0, 2**22, 32)
    assert [one.path for one in secure.transcripts] == ["transcripts/round-0001", "transcripts/round-0002"]


def test_no_single_update_is_on_record(folder: Path) -> None:
    assert {update.kind for update in system_at(folder).updates} == {"aggregate"}


def test_whose_records_are_in_a_sum_of_some_nobody_can_say(flower: None, tmp_path: Path) -> None:
    run(tmp_path / "run", sampled=3)
    [update] = system_at(tmp_path / "run").updates
    assert (update.clients, update.truth) == (3, None)


def test_a_client_that_is_lost_is_not_counted(flower: None, tmp_path: Path) -> None:
    run(tmp_path / "run", drop=lambda kind, node: kind == "collect_masked_vectors" and node == node_id(1))
    [update] = system_at(tmp_path / "run").updates
    assert (update.clients, update.divided_by, update.truth) == (4, 4.0, None)


def test_a_round_that_gives_no_sum_leaves_a_transcript_and_no_update(flower: None, tmp_path: Path) -> None:
    lost = {node_id(i) for i in range(4)}
    run(tmp_path / "run", drop=lambda kind, node: kind == "unmask" and node in lost)
    assert not (tmp_path / "run/system.toml").exists()
    assert (tmp_path / "run/transcripts/round-0001").is_dir()
