"""The mod writes down what leaves each client, and changes nothing of it."""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from audit.capture import CaptureError
from audit.flower import capture_mod
from audit.flower.protection import inner_mods
from audit.load import planted_updates
from audit.manifest import load_system
from reports.model import System
from secagg.flower.harness import InProcessGrid, node_id

pytestmark = pytest.mark.flower
RATE = 0.5


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def records_of(context: Any) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(int(context.node_config["partition-id"]))
    return torch.rand((2, 4), generator=generator), torch.randint(0, 3, (2,), generator=generator)


def app_with(mods: list[Any]) -> Any:
    """A Flower app of a user: one step of gradient descent on both records."""
    from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp

    app = ClientApp()

    @app.train(mods=mods)
    def train(message: Any, context: Any) -> Any:
        model = network()
        model.load_state_dict(message.content["arrays"].to_torch_state_dict())
        x, y = records_of(context)
        nn.functional.cross_entropy(model(x), y).backward()
        torch.optim.SGD(model.parameters(), lr=RATE).step()
        metrics = MetricRecord({"num-examples": 2, "dice": float(torch.rand(()))})
        return Message(RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics}), reply_to=message)

    @app.evaluate()
    def evaluate(message: Any, context: Any) -> Any:
        return Message(RecordDict({"metrics": MetricRecord({"num-examples": 2})}), reply_to=message)

    return app


def ask(app: Any, clients: int = 3, kind: str = "train", number: int = 1, **config: Any) -> list[Any]:
    """Send every client the network, as a strategy does; return the replies."""
    from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict

    content = RecordDict({
        "arrays": ArrayRecord(network().state_dict()),
        "config": ConfigRecord({"server-round": number, "lr": RATE, **config}),
    })  # fmt: skip
    told = {"local-epochs": 1, "batch-size": 2, "num-server-rounds": 4}
    with InProcessGrid([app] * clients, run_config=told) as grid:
        replies = grid.send_and_receive([Message(content, node_id(i), kind) for i in range(clients)])
        for _, _, error in grid.errors:
            raise error
    return replies


def capture(folder: Path, **more: Any) -> Any:
    return capture_mod(folder, network, records_of, name="small", classes=3, **more)


def system_at(folder: Path) -> System:
    return load_system(folder / "system.toml").system


def test_it_records_the_gradient_step_that_the_client_took(tmp_path: Path) -> None:
    ask(app_with([capture(tmp_path / "run")]))
    loaded = load_system(tmp_path / "run/system.toml")
    updates = planted_updates(loaded.system, loaded.folder).updates
    assert [update.client for update in updates] == ["client-0000", "client-0001", "client-0002"]
    for number, update in enumerate(updates):
        model = network()
        x, y = records_of(type("Context", (), {"node_config": {"partition-id": number}}))
        nn.functional.cross_entropy(model(x), y).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            torch.testing.assert_close(update.tensors[name], -RATE * parameter.grad, rtol=1e-4, atol=1e-6)
        assert update.truth is not None
        torch.testing.assert_close(update.truth.x, x)
        assert update.truth.y.tolist() == y.tolist()
        assert (update.round, update.batch_size, update.local_steps, update.learning_rate) == (1, 2, 1, RATE)


def test_it_tells_of_the_federation_what_the_app_was_told(tmp_path: Path) -> None:
    ask(app_with([capture(tmp_path / "run")]))
    federation = system_at(tmp_path / "run").federation
    assert federation is not None
    assert (federation.framework, federation.visibility) == ("flower", "update")
    assert (federation.clients, federation.clients_per_round, federation.rounds) == (3, 3, 4)
    assert (federation.local_epochs, federation.batch_size, federation.learning_rate) == (1, 2, RATE)
    assert federation.differential_privacy is None


def test_what_the_server_gets_is_what_it_got_without(tmp_path: Path) -> None:
    answers = []
    for mods in ([capture(tmp_path / "run")], []):
        torch.manual_seed(1)
        answers.append([reply.content for number in (1, 2) for reply in ask(app_with(mods), number=number)])
    for with_it, without in zip(*answers, strict=True):
        assert dict(with_it["metrics"]) == dict(without["metrics"])  # the app's dice fell alike
        for name, array in with_it["arrays"].items():
            np.testing.assert_array_equal(array.numpy(), without["arrays"][name].numpy())


def test_evaluation_passes_by(tmp_path: Path) -> None:
    assert all(reply.has_content() for reply in ask(app_with([capture(tmp_path / "run")]), kind="evaluate"))
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_killed_leaves_what_was_recorded(tmp_path: Path) -> None:
    app = app_with([capture(tmp_path / "run")])

    def kill(message: Any, deliver: Any) -> Any:
        if message.metadata.dst_node_id == node_id(2):
            raise KeyboardInterrupt
        return deliver(message)

    from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict

    content = RecordDict({
        "arrays": ArrayRecord(network().state_dict()), "config": ConfigRecord({"server-round": 1, "lr": RATE})
    })  # fmt: skip
    with InProcessGrid([app] * 3, tamper=kill) as grid, pytest.raises(KeyboardInterrupt):
        grid.send_and_receive([Message(content, node_id(i), "train") for i in range(3)])
    assert len(system_at(tmp_path / "run").updates) == 2


def test_local_differential_privacy_is_read_off_the_app_and_its_noise_recorded(tmp_path: Path) -> None:
    from flwr.clientapp.mod import LocalDpMod

    np.random.seed(0)  # noqa: NPY002  (Flower's own dice)
    ask(app_with([capture(tmp_path / "run"), LocalDpMod(2.0, 3.0, 4.0, 1e-6)]))
    system = system_at(tmp_path / "run")
    assert system.federation is not None
    privacy = system.federation.differential_privacy
    assert privacy is not None
    deviation = 3.0 * math.sqrt(2 * math.log(1.25 / 1e-6)) / 4.0  # Dwork and Roth 2014, theorem A.1
    assert privacy.noise_multiplier == pytest.approx(deviation / 2.0)
    assert (privacy.clipping_norm, privacy.noise_added_by, privacy.delta, privacy.steps) == (2.0, "clients", 1e-6, 4)
    assert privacy.epsilon is None  # the mod's is that of one message
    noised = np.concatenate([t.numpy().ravel() for u in system.updates for t in load_file(
        tmp_path / "run" / u.path.path).values()])  # fmt: skip
    assert noised.std() == pytest.approx(deviation, rel=0.25)  # 153 coordinates: the standard error is 6 %


def test_clipping_by_the_client_leaves_the_noise_to_the_server(tmp_path: Path) -> None:
    from flwr.clientapp.mod import fixedclipping_mod

    ask(app_with([capture(tmp_path / "run"), fixedclipping_mod]), clipping_norm=0.125)
    system = system_at(tmp_path / "run")
    assert system.federation is not None
    privacy = system.federation.differential_privacy
    assert privacy is not None
    assert (privacy.clipping_norm, privacy.noise_added_by, privacy.noise_multiplier) == (0.125, "server", None)
    for update in system.updates:  # what the server sees bears no noise, and is clipped
        tensors = load_file(tmp_path / "run" / update.path.path).values()
        assert math.sqrt(sum(float((t.double() ** 2).sum()) for t in tensors)) == pytest.approx(0.125, rel=1e-4)


def test_under_secaggplus_it_says_where_to_capture(tmp_path: Path) -> None:
    from flwr.app import ConfigRecord, Message, RecordDict

    content = RecordDict({"secaggplus_configs": ConfigRecord({"stage": "setup"})})
    with InProcessGrid([app_with([capture(tmp_path / "run")])]) as grid:
        grid.send_and_receive([Message(content, node_id(0), "train")])
        [(_, _, error)] = grid.errors
    assert isinstance(error, CaptureError)
    assert "captured(SecAggPlusWorkflow" in error.hint


def test_another_model_than_the_app_trains_is_refused(tmp_path: Path) -> None:
    other = capture_mod(tmp_path / "run", functools.partial(nn.Linear, 4, 3), records_of, name="small")
    with pytest.raises(CaptureError, match="not the state dict"):
        ask(app_with([other]))


@pytest.mark.parametrize("held", [{}, {"partition-id": "../../elsewhere"}, {"partition-id": -1}])
def test_a_client_that_does_not_say_which_partition_it_holds_is_refused(tmp_path: Path, held: dict[str, Any]) -> None:
    def deployed(message: Any, context: Any, call_next: Any) -> Any:
        context.node_config = held
        return call_next(message, context)

    with pytest.raises(CaptureError, match="partition-id"):
        ask(app_with([deployed, capture(tmp_path / "run")]), clients=1)
    assert not (tmp_path / "run").exists()


def test_the_chain_of_mods_is_read_as_flower_builds_it() -> None:
    from flwr.client.mod.utils import make_ffn
    from flwr.clientapp.mod import LocalDpMod, fixedclipping_mod

    noise = LocalDpMod(1.0, 1.0, 1.0, 1e-5)
    assert list(inner_mods(make_ffn(lambda m, c: m, [fixedclipping_mod, noise]))) == [fixedclipping_mod, noise]
    assert list(inner_mods(lambda m, c: m)) == []


def test_the_line_takes_nothing_else_of_the_quickstart(quickstart: Callable[[str], ModuleType]) -> None:
    import ast
    import inspect

    from_audit = {"audit.flower"}
    for name in ("client_app", "client_app_dp", "server_app_secagg"):
        tree = ast.parse(inspect.getsource(quickstart(name)))
        imported = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module in from_audit]
        names = {alias.name for node in imported for alias in node.names}
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in names]
        assert (len(imported), len(calls)) == (1, 1)
    for name in ("task", "server_app", "client_app_secagg"):
        assert "audit" not in inspect.getsource(quickstart(name)).replace("an audit", "")
