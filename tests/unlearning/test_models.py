import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from reports.model import Artifact, Definition, Model
from unlearning.errors import LayersError, ModelError, ModelMismatch
from unlearning.models import build, build_layers, cnn, initialise, layer_list, load_model, match_parameters, mlp


def artifact(path: str) -> Artifact:
    return Artifact(path=path, sha256="0" * 64, size=0, kind="model.checkpoint")


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a checkpoint of `mlp((4,), 3, 2)`, its layer list and a function that builds it."""
    (tmp_path / "layers.json").write_text(json.dumps(layer_list("mlp", (4,), 2, hidden=3)))
    generator = torch.Generator().manual_seed(1)
    save_file(initialise(mlp((4,), 3, 2), generator).state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "model.py").write_text(
        "from torch import nn\n\ndef build():\n    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))\n"
    )
    return tmp_path


DECLARED = Model(checkpoint=artifact("model.safetensors"), layers=artifact("layers.json"))
BY_CODE = Model(
    checkpoint=artifact("model.safetensors"), definition=Definition(file=artifact("model.py"), function="build")
)


@pytest.mark.parametrize(
    ("module", "record", "parameters"),
    [
        (mlp((64,), 64, 10), (64,), 4_810),  # the figures that spec and benchmarks name
        (mlp((1, 8, 8), 64, 10), (1, 8, 8), 4_810),
        (mlp((5,), (4, 3), 2), (5,), 5 * 4 + 4 + 4 * 3 + 3 + 3 * 2 + 2),
        (cnn((1, 28, 28), 10), (1, 28, 28), 29_738),
        (cnn((3, 12, 13), 7), (3, 12, 13), 608 + 3_216 + 64 * 17 + 7 * 65),
    ],
)
def test_the_standard_models_have_the_size_that_is_promised(
    module: nn.Module, record: tuple[int, ...], parameters: int
) -> None:
    assert size(module) == parameters
    assert module(torch.zeros(2, *record)).shape == (2, module[-1].out_features)  # type: ignore[index]


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 11), (784,)])
def test_a_cnn_on_too_small_an_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="at least 12 x 12"):
        cnn(shape, 10)


def test_initial_weights_come_from_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first = initialise(mlp((4,), 3, 2), torch.Generator().manual_seed(5)).state_dict()
    torch.rand(3)
    again = initialise(mlp((4,), 3, 2), torch.Generator().manual_seed(5)).state_dict()
    other = initialise(mlp((4,), 3, 2), torch.Generator().manual_seed(6)).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)
    torch.random.set_rng_state(before)
    drawn = torch.rand(3)
    torch.random.set_rng_state(before)
    model = cnn((1, 28, 28), 10)
    torch.random.set_rng_state(before)
    initialise(model, torch.Generator().manual_seed(5))
    assert torch.equal(torch.rand(3), drawn)  # the global stream stands where it stood


def test_initial_weights_are_torchs_own() -> None:
    with torch.random.fork_rng(devices=[]):
        seed = int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(3)))
        torch.manual_seed(seed)
        theirs = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).state_dict()
    ours = initialise(mlp((4,), 3, 2), torch.Generator().manual_seed(3)).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize(("model", "trust_code"), [(DECLARED, False), (BY_CODE, True)])
def test_a_loaded_model_computes_what_was_saved(folder: Path, model: Model, trust_code: bool) -> None:
    loaded = load_model(model, folder, trust_code=trust_code)
    saved = initialise(mlp((4,), 3, 2), torch.Generator().manual_seed(1))
    record = torch.randn(5, 4)
    assert torch.equal(loaded(record), saved(record))
    assert not loaded.training


def test_half_precision_is_read_into_the_models_own_format(folder: Path) -> None:
    state = {name: tensor.bfloat16() for name, tensor in mlp((4,), 3, 2).state_dict().items()}
    save_file(state, folder / "model.safetensors")
    loaded = load_model(DECLARED, folder)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded.state_dict()["0.weight"], state["0.weight"].float())


def test_code_runs_only_when_trusted(folder: Path) -> None:
    (folder / "model.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    with pytest.raises(ModelError, match="--trust-code") as caught:
        load_model(BY_CODE, folder)
    assert caught.value.code == "model.code-not-trusted"
    assert not (folder / "ran").exists()  # negative control: refused before it ran
    with pytest.raises(ModelError, match="AttributeError"):
        load_model(BY_CODE, folder, trust_code=True)
    assert (folder / "ran").exists()  # positive control: that file does run when trusted


def test_code_is_loaded_by_path_and_its_folder_is_not_importable(folder: Path) -> None:
    (folder / "sibling.py").write_text("")
    (folder / "model.py").write_text("import sibling\n")
    path = list(sys.path)
    with pytest.raises(ModelError, match="No module named 'sibling'"):
        build(folder / "model.py", "build", trust_code=True)
    assert sys.path == path


def test_a_dataclass_in_the_owners_code_works(folder: Path) -> None:
    (folder / "model.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom torch import nn\n"
        "@dataclass\nclass Size:\n    wide: int = 4\ndef build():\n    return nn.Linear(Size().wide, 2)\n"
    )
    assert isinstance(build(folder / "model.py", "build", trust_code=True), nn.Linear)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def build(:", "SyntaxError"),
        ("def build():\n    raise OSError('no disk')", "OSError: no disk"),
        ("def build():\n    return 3", "returned a int"),
        ("def build(width):\n    return None", "TypeError"),
    ],
)
def test_what_is_wrong_with_the_owners_code_is_told(folder: Path, code: str, said: str) -> None:
    (folder / "model.py").write_text(code)
    with pytest.raises(ModelError, match=said) as caught:
        build(folder / "model.py", "build", trust_code=True)
    assert caught.value.code == "model.definition"


@pytest.mark.parametrize(
    ("model", "code"),
    [
        (Model(layers=artifact("layers.json")), "model.no-checkpoint"),
        (Model(checkpoint=artifact("model.safetensors")), "model.no-architecture"),
    ],
)
def test_a_model_that_is_not_described_is_refused(folder: Path, model: Model, code: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(model, folder)
    assert caught.value.code == code


@pytest.mark.parametrize("text", ["[", "\xff", "3", '{"type": "Linear"}', "[" * 100_000])
def test_a_broken_layer_list_is_one_clear_error(folder: Path, text: str) -> None:
    (folder / "layers.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(LayersError, match=r"layers\.json"):
        load_model(DECLARED, folder)


def test_names_decide_and_the_order_does_not() -> None:
    model = mlp((4,), 3, 2)
    shuffled = dict(reversed(model.state_dict().items()))
    matched = match_parameters(model, shuffled)
    assert list(matched) == list(model.state_dict())
    assert all(torch.equal(matched[name], shuffled[name]) for name in shuffled)


def with_change(**changes: Tensor | None) -> dict[str, Tensor]:
    state: dict[str, Tensor | None] = {**mlp((4,), 3, 2).state_dict(), **changes}
    return {name: tensor for name, tensor in state.items() if tensor is not None}


@pytest.mark.parametrize(
    ("tensors", "said", "mend"),
    [
        (with_change(**{"0.weight": torch.zeros(3, 5)}), r"'0.weight' has shape \(3, 5\), in the model \(3, 4\)", ""),
        (
            with_change(**{"0.weigth": torch.zeros(7)}),
            r"no tensor '0.weigth', whose shape here is \(7,\)",
            "'0.weight'",
        ),
        (with_change(head=torch.zeros(7)), "no tensor 'head'", "It has 0.weight, 0.bias, 2.weight, 2.bias."),
        (with_change(**{"2.bias": None}), r"'2.bias', in the model of shape \(2,\), is missing", "every tensor"),
    ],
)
def test_tensors_that_do_not_fit_are_named_with_both_shapes(tensors: dict[str, Tensor], said: str, mend: str) -> None:
    with pytest.raises(ModelMismatch, match=said) as caught:
        match_parameters(mlp((4,), 3, 2), tensors, source="u.safetensors")
    assert caught.value.message.startswith("u.safetensors: ")
    assert mend in caught.value.hint


def test_a_checkpoint_needs_its_running_statistics_and_a_gradient_does_not() -> None:
    model = build_layers([{"type": "BatchNorm1d", "num_features": 3}])
    gradient = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
    assert list(match_parameters(model, gradient)) == ["0.weight", "0.bias"]
    with pytest.raises(ModelMismatch, match=r"'0\.running_mean'.* is missing"):
        match_parameters(model, gradient, buffers=True)
    assert list(match_parameters(model, model.state_dict(), buffers=True)) == list(model.state_dict())


def test_one_name_of_a_tied_parameter_is_enough() -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    assert list(match_parameters(model, {"1.weight": torch.zeros(3, 3)})) == ["1.weight"]
    with pytest.raises(ModelMismatch, match="missing"):
        match_parameters(model, {})
