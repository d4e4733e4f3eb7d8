"""Oracles: what they have seen, that neither executor nor chunk changes them, and that a killed run goes on."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from audit.executors import Process, Ray
from unlearning.federated.data import SimulatedFederation
from unlearning.federated.engine import Sequential
from unlearning.federated.methods import method
from unlearning.federated.methods.base import Setting
from unlearning.federated.oracles import FolderCache, OraclePool, Questions, engine_for, model_seeds
from unlearning.federated.recipe import TrainingRecipe
from unlearning.federated.request import Split, UnlearningRequest, split
from unlearning.federated.rounds import train_models
from unlearning.models import build_layers, layer_list

SEEDS = model_seeds(3, "references", 5)


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor], tolerance: float = 0.0) -> bool:
    return all(float((one[name] - other[name]).abs().max()) <= tolerance for name in one)


@pytest.fixture(scope="module")
def asked(scenes: Any) -> Callable[..., Questions]:
    def build(name: str, **keys: Any) -> Questions:
        federation: SimulatedFederation = scenes.federation()
        picklable = SimulatedFederation(
            federation.data, federation.recipe, _Untrained(layer_list("mlp", (6,), 3, hidden=5))
        )
        taken = split(picklable.data, UnlearningRequest.client(0))
        return Questions(picklable, taken, method(name), **{"unlabelled": picklable.data.holdout, **keys})

    return build


class _Untrained:
    """Builds a model of a layer list; travels to another process."""

    def __init__(self, layers: list[dict[str, Any]]) -> None:
        self.layers = layers

    def __call__(self) -> torch.nn.Module:
        return build_layers(self.layers)


def test_each_kind_of_oracle_is_the_method_run_on_models_that_saw_what_its_name_says(asked) -> None:
    """Against the same words written out for one model on the sequential engine."""
    questions = asked("finetune")
    pool = OraclePool(questions)
    without = pool.without(SEEDS)
    holding = pool.holding(SEEDS, ("trained", "originals", "unlearned"))
    federation, taken = questions.federation, questions.split
    for place in (0, 4):
        engine = Sequential(federation, (SEEDS[place],))
        retrained = train_models(engine, dict(enumerate(taken.retain)), federation.recipe)
        trained = train_models(engine, dict(enumerate(federation.data.clients)), federation.recipe)
        finetune, nothing = method("finetune"), Split.nothing(federation.data)
        expected = {
            "retrained": retrained.tensors,
            "matched": finetune.run(Setting(engine, Split({}, taken.retain, {}), retrained)).models.tensors,
            "trained": trained.tensors,
            "originals": finetune.run(Setting(engine, nothing, trained)).models.tensors,
            "unlearned": finetune.run(Setting(engine, taken, trained)).models.tensors,
        }
        for kind, tensors in expected.items():
            found = (without | holding)[kind]
            assert same({name: tensor[place : place + 1] for name, tensor in found.items()}, tensors, 1e-5), kind


def test_an_exact_method_trains_no_model_before(asked) -> None:
    """Its matched reference is itself from fresh weights; nothing else is trained."""
    assert set(OraclePool(asked("rapid-retrain")).without(SEEDS[:2], ("matched",))) == {"matched"}


@pytest.mark.parametrize(
    "name", ["ffum", *[pytest.param(name, marks=pytest.mark.slow) for name in ("federaser", "rewind")]]
)
def test_processes_and_one_process_train_the_same_oracles_to_the_bit(name: str, asked, monkeypatch) -> None:
    monkeypatch.setattr("unlearning.federated.oracles.CHUNK", 2)
    questions = asked(name, kept=2 if name == "ffum" else None)
    serial = OraclePool(questions).without(SEEDS[:4])
    process = OraclePool(questions, Process(2)).without(SEEDS[:4])
    assert all(same(serial[kind], process[kind]) for kind in serial)


@pytest.fixture
def cluster() -> Iterator[None]:
    """Two workers of Ray's on this machine."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
@pytest.mark.usefixtures("cluster")
def test_ray_trains_the_same_oracles_to_the_bit(asked, monkeypatch) -> None:
    monkeypatch.setattr("unlearning.federated.oracles.CHUNK", 2)
    questions = asked("ffum", kept=2)
    serial, spread = OraclePool(questions).without(SEEDS[:4]), OraclePool(questions, Ray()).without(SEEDS[:4])
    assert all(same(serial[kind], spread[kind]) for kind in serial)


def test_an_oracle_depends_on_its_seed_and_not_on_how_many_there_are(asked) -> None:
    questions = asked("ffum", kept=1)
    many, few = (OraclePool(questions).without(seeds, ("matched",))["matched"] for seeds in (SEEDS, SEEDS[3:4]))
    assert same({name: tensor[3:4] for name, tensor in many.items()}, few, 1e-6)


class _Broken:
    """An executor that is killed after some trials."""

    def __init__(self, after: int) -> None:
        self.after, self.ran = after, 0

    def map(self, fn: Callable[[Any], Any], trials: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        for position, trial in enumerate(trials):
            if self.ran == self.after:
                raise KeyboardInterrupt
            self.ran += 1
            yield position, fn(trial)


def test_what_was_trained_before_a_kill_is_not_trained_again(asked, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("unlearning.federated.oracles.CHUNK", 2)
    questions, cache = asked("finetune"), FolderCache(tmp_path / "cache")
    killed, resumed = _Broken(2), _Broken(9)
    with pytest.raises(KeyboardInterrupt):
        OraclePool(questions, killed, cache).without(SEEDS)
    found = OraclePool(questions, resumed, cache).without(SEEDS)
    assert (killed.ran, resumed.ran) == (2, 1)
    fresh = OraclePool(questions).without(SEEDS)
    assert all(same(found[kind], fresh[kind]) for kind in fresh)


@pytest.mark.parametrize(
    "other",
    [
        lambda asked: asked("finetune", kept=1),
        lambda asked: asked("finetune", offline=frozenset({2})),
        lambda asked: asked("finetune", engine="sequential"),
        lambda asked: asked("ffum"),
    ],
)
def test_questions_that_differ_have_another_digest(other: Callable[..., Questions], asked) -> None:
    assert other(asked).digest() != asked("finetune").digest() == asked("finetune").digest()


def test_a_changed_pixel_or_recipe_is_another_question(asked) -> None:
    one = asked("finetune")
    changed = asked("finetune")
    changed.split.retain[1].x[0, 0] += 1
    recipe = TrainingRecipe.model_validate(one.federation.recipe.model_dump() | {"rounds": 5})
    slower = Questions(
        SimulatedFederation(one.federation.data, recipe, one.federation.untrained), one.split, one.method
    )
    assert len({one.digest(), changed.digest(), slower.digest()}) == 3


def test_a_broken_file_of_the_cache_is_trained_anew(asked, tmp_path: Path) -> None:
    questions, cache = asked("finetune"), FolderCache(tmp_path)
    before = OraclePool(questions, cache=cache).without(SEEDS[:2])
    for file in tmp_path.iterdir():
        file.write_bytes(b"no tensors")
    assert same(OraclePool(questions, cache=cache).without(SEEDS[:2])["matched"], before["matched"])


def test_convolutions_are_trained_one_by_one_unless_that_is_refused(asked) -> None:
    dense = asked("finetune").federation
    layers = [
        {"type": "Unflatten", "dim": 1, "unflattened_size": [1, 6]},
        {"type": "Conv1d", "in_channels": 1, "out_channels": 2, "kernel_size": 3},
        {"type": "Flatten"},
        {"type": "Linear", "in_features": 8, "out_features": 3},
    ]
    convolutional = SimulatedFederation(dense.data, dense.recipe, _Untrained(layers))
    assert engine_for(dense, (1,)).name == "stacked"
    assert engine_for(convolutional, (1,)).name == "sequential"
    with pytest.raises(ValueError, match="sequentially"):
        engine_for(convolutional, (1,), "stacked")
