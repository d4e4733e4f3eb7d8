"""Every executor against the built-in map: the same results, whatever the order and the place."""

import sys
from collections.abc import Iterator

import numpy as np
import pytest

from audit.executors import ExecutorError, Process, Ray, named_executor
from reports.executor import Executor, Serial

SEEDS = tuple(range(100, 117))


def drawn(seed: int) -> float:
    """A trial with its own seed."""
    return float(np.random.default_rng(seed).standard_normal())


def failing(seed: int) -> float:
    """A trial that breaks."""
    raise ValueError(f"trial {seed} broke")


def collected(executor: Executor) -> list[float]:
    """The results, put back in the order of the trials; each position is there once."""
    pairs = list(executor.map(drawn, iter(SEEDS)))
    assert sorted(position for position, _ in pairs) == list(range(len(SEEDS)))
    return [result for _, result in sorted(pairs)]


def test_processes_give_what_the_loop_gives() -> None:
    assert collected(Process(workers=2)) == collected(Serial()) == [drawn(seed) for seed in SEEDS]


def test_an_exception_in_a_process_comes_out() -> None:
    with pytest.raises(ValueError, match="trial 100 broke"):
        list(Process(workers=2).map(failing, iter(SEEDS[:1])))


def test_nothing_is_done_with_no_trial() -> None:
    assert list(Process(workers=2).map(drawn, ())) == []


def test_names_give_executors_and_others_are_refused() -> None:
    assert isinstance(named_executor("serial"), Serial)
    assert isinstance(named_executor("process"), Process)
    with pytest.raises(ExecutorError, match="no executor 'threads'"):
        named_executor("threads")


def test_without_ray_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # what an absent package looks like to `import`
    with pytest.raises(ExecutorError, match=r"pip install fedaudit\[ray\]"):
        named_executor("ray")
    with pytest.raises(ExecutorError, match="not installed"):
        list(Ray().map(drawn, SEEDS))


@pytest.fixture
def cluster() -> Iterator[None]:
    """Two workers of Ray's on this machine."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")  # Ray's own
@pytest.mark.usefixtures("cluster")
def test_ray_gives_what_the_loop_gives() -> None:
    assert collected(Ray(in_flight=3)) == collected(Serial())
