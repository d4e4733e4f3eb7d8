"""A step is taken once, whoever asks at the same time; and what happens where nothing sees to that."""

import copy
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from secagg.flower.exchange import RECORD
from secagg.flower.harness import InProcessGrid, kind_of, node_id
from secagg.flower.message import OnceFolder, SecAggConfig, SecAggGrid, secagg_mod
from secagg.flower.once import KEPT_SECONDS
from secagg.keys import Identity
from secagg.policy import ClientPolicy

SESSION = bytes(range(32))


def test_only_the_first_of_equal_steps_is_taken(tmp_path: Path) -> None:
    once = OnceFolder(tmp_path / "made" / "here")
    steps = [
        (SESSION, "1", "unmask"),
        (SESSION, "1", "shares"),
        (SESSION, "2", "unmask"),
        (SESSION[::-1], "1", "unmask"),
    ]
    assert [once(*step) for step in steps + steps] == [True] * 4 + [False] * 4
    assert OnceFolder(tmp_path)(*steps[0])  # another folder knows nothing of it


def test_of_many_processes_one_is_first(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        first = pool.map(partial(_ask, tmp_path), range(20))
    assert sum(first) == 1


def _ask(folder: Path, _: int) -> bool:
    return OnceFolder(folder)(SESSION, "1", "unmask")


def test_what_is_old_is_forgotten(tmp_path: Path) -> None:
    once = OnceFolder(tmp_path)
    assert once(SESSION, "1", "unmask")
    [file] = tmp_path.iterdir()
    old = time.time() - KEPT_SECONDS - 60
    os.utime(file, (old, old))
    assert once(SESSION, "1", "shares")
    assert [one.name for one in tmp_path.iterdir()] != [file.name]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.flower
@pytest.mark.parametrize(("sees_to_it", "answered"), [(True, 0), (False, 6)])
@pytest.mark.parametrize("phase", ["shares", "masked_input", "consistency", "unmask"])
def test_two_requests_at_once_get_one_answer(phase: str, sees_to_it: bool, answered: int, tmp_path: Path) -> None:
    keys = {str(node_id(p)): Identity.generate() for p in range(6)}
    public = {client: one.public_key for client, one in keys.items()}
    once: Callable[..., bool] = OnceFolder(tmp_path) if sees_to_it else lambda session, client, phase: True
    mod = secagg_mod(ClientPolicy(identities=public), lambda context: keys[str(context.node_id)], once=once)
    second: list[Any] = []

    def at_once(message: Any, deliver: Any) -> Any:
        context = grid.contexts[message.metadata.dst_node_id]
        snapshot = copy.deepcopy(context.state)
        reply = deliver(message)
        if kind_of(message) == phase:  # the other task was given the same state before the first had ended
            after, context.state = context.state, snapshot
            second.append(deliver(message).content[RECORD])
            context.state = after
        return reply

    config = SecAggConfig(server_trust="malicious", identities=public)
    with InProcessGrid([_app(mod)] * 6, tamper=at_once) as grid:
        assert list(SecAggGrid(grid.as_grid, config).send_and_receive(_messages(grid)))
    assert len(second) == 6
    assert sum("message" in one for one in second) == answered
    assert all(one["refused"] == "phase-order" for one in second if "refused" in one)


def _app(mod: Any) -> Any:
    from flwr.app import Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp

    app = ClientApp()

    @app.train(mods=[mod])
    def train(message: Any, context: Any) -> Any:
        content = RecordDict({"arrays": message.content["arrays"], "metrics": MetricRecord({"num-examples": 1})})
        return Message(content, reply_to=message)

    return app


def _messages(grid: InProcessGrid) -> list[Any]:
    import numpy as np
    from flwr.app import Array, ArrayRecord, Message, RecordDict

    content = RecordDict({"arrays": ArrayRecord({"w": Array(np.ones(3, np.float32))})})
    return [Message(content, node, "train") for node in grid.get_node_ids()]
