from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from unlearning.errors import LayersError
from unlearning.layers import PLAIN_LAYERS, Residual, build_layers, describe_layers

LINEAR = {"type": "Linear", "in_features": 4, "out_features": 3}
EVERY_LAYER: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "Linear": ({"in_features": 4, "out_features": 3, "bias": False}, (2, 4)),
    "Conv1d": ({"in_channels": 2, "out_channels": 4, "kernel_size": 3, "groups": 2}, (2, 2, 9)),
    "Conv2d": ({"in_channels": 1, "out_channels": 2, "kernel_size": [3, 1], "padding": "same"}, (2, 1, 6, 6)),
    "BatchNorm1d": ({"num_features": 4, "momentum": 0.2}, (5, 4)),
    "BatchNorm2d": ({"num_features": 2, "affine": False}, (2, 2, 3, 3)),
    "GroupNorm": ({"num_groups": 2, "num_channels": 4}, (2, 4, 3)),
    "LayerNorm": ({"normalized_shape": [4], "bias": False}, (2, 4)),
    "Embedding": ({"num_embeddings": 7, "embedding_dim": 3, "padding_idx": 0}, (2, 5)),
    "ReLU": ({}, (2, 4)),
    "LeakyReLU": ({"negative_slope": 0.3}, (2, 4)),
    "GELU": ({"approximate": "tanh"}, (2, 4)),
    "SiLU": ({}, (2, 4)),
    "Tanh": ({}, (2, 4)),
    "Sigmoid": ({}, (2, 4)),
    "MaxPool2d": ({"kernel_size": 2, "stride": 1}, (2, 1, 6, 6)),
    "AvgPool2d": ({"kernel_size": [2, 1]}, (2, 1, 6, 6)),
    "AdaptiveAvgPool2d": ({"output_size": [2, 2]}, (2, 1, 6, 6)),
    "Flatten": ({}, (2, 3, 4)),
    "Unflatten": ({"dim": 1, "unflattened_size": [2, 2]}, (2, 4)),
    "Dropout": ({"p": 0.25}, (2, 4)),
}


def sample_input(kind: str, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.arange(10).reshape(2, 5) % 7 if kind == "Embedding" else torch.randn(shape)


def test_the_table_above_names_every_layer_of_the_whitelist() -> None:
    assert set(EVERY_LAYER) == set(PLAIN_LAYERS)


@pytest.mark.parametrize("kind", EVERY_LAYER)
def test_every_layer_computes_what_torch_computes(kind: str) -> None:
    arguments, shape = EVERY_LAYER[kind]
    built = build_layers([{"type": kind, **arguments}]).eval()
    tuples = {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}
    theirs = getattr(nn, kind)(**tuples).eval()
    theirs.load_state_dict(built[0].state_dict())
    given_input = sample_input(kind, shape)
    torch.testing.assert_close(built(given_input), theirs(given_input))


@pytest.mark.parametrize("kind", EVERY_LAYER)
def test_a_description_rebuilds_the_layer(kind: str) -> None:
    arguments, shape = EVERY_LAYER[kind]
    built = build_layers([{"type": kind, "name": "it", **arguments}, {"type": "Dropout"}]).eval()
    again = build_layers(describe_layers(built)).eval()
    again.load_state_dict(built.state_dict())
    given_input = sample_input(kind, shape)
    torch.testing.assert_close(again(given_input), built(given_input))


def test_a_description_of_torchs_own_chain_is_its_shortest_list() -> None:
    chain = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2, bias=False))
    assert describe_layers(chain) == [
        {"type": "Flatten"},
        {"type": "Linear", "in_features": 4, "out_features": 3},
        {"type": "ReLU"},
        {"type": "Linear", "in_features": 3, "out_features": 2, "bias": False},
    ]


def test_a_residual_adds_its_input_and_is_described_with_its_layers() -> None:
    spec = [
        {"type": "Linear", "in_features": 3, "out_features": 3},
        {"type": "Residual", "name": "block", "layers": [{"type": "Linear", "in_features": 3, "out_features": 3}]},
    ]
    built = build_layers(spec)
    first, inner = built[0], built.get_submodule("block.0")
    record = torch.randn(2, 3)
    torch.testing.assert_close(built(record), first(record) + inner(first(record)))
    assert isinstance(built.block, Residual)
    assert list(built.state_dict()) == ["0.weight", "0.bias", "block.0.weight", "block.0.bias"]
    assert describe_layers(built) == spec


def test_names_default_to_the_position_so_a_plain_sequential_fits() -> None:
    spec = [LINEAR, {"type": "ReLU"}, {"type": "Linear", "in_features": 3, "out_features": 2}]
    plain = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    assert list(build_layers(spec).state_dict()) == list(plain.state_dict())
    assert list(build_layers([{**LINEAR, "name": "fc1"}]).state_dict()) == ["fc1.weight", "fc1.bias"]


@pytest.mark.parametrize(
    ("spec", "said", "mend"),
    [
        ([LINEAR, {"type": "Liner"}], "layers[1].type: there is no layer 'Liner'", "Did you mean 'Linear'?"),
        ([{"type": "LSTM", "input_size": 3}], "layers[0].type: there is no layer 'LSTM'", "Allowed: Linear"),
        ([{"type": 3}], "layers[0].type: there is no layer 3", "Allowed"),
        ([{}], "layers[0].type: there is no layer None", "Allowed"),
        ([{**LINEAR, "in_feature": 4}], "layers[0]: Linear takes no argument 'in_feature'", "'in_features'"),
        ([{**LINEAR, "device": "cuda"}], "layers[0]: Linear takes no argument 'device'", "Allowed: in_features"),
        ([{"type": "Tanh", "p": 1}], "layers[0]: Tanh takes no argument 'p'", "Leave it out."),
        ([{"type": "Embedding", "num_embeddings": 2, "embedding_dim": 2, "_weight": 1}], "no argument '_weight'", ""),
        ([{"type": "Linear", "in_features": 4}], "layers[0]: torch refuses this Linear: missing", "torch.nn.Linear"),
        ([{**LINEAR, "in_features": "4"}], "layers[0]: torch refuses this Linear", "torch.nn.Linear"),
        ([{**LINEAR, "in_features": -4}], "layers[0]: torch refuses this Linear", "torch.nn.Linear"),
        ([{**LINEAR, "in_features": 10**30}], "layers[0]: torch refuses this Linear", "torch.nn.Linear"),
        ([{**LINEAR, "in_features": 10**12}], "the layers have 3,000,000,000,003 parameters", "Check"),
        ([{"type": "Dropout", "p": 2}], "layers[0]: torch refuses this Dropout", "torch.nn.Dropout"),
        ([{**LINEAR, "name": "a"}, {**LINEAR, "name": "a"}], "layers[1].name: 'a' is taken", "its own"),
        ([{**LINEAR, "name": "1"}, {"type": "ReLU"}], "layers[1].name: '1' is taken", "its own"),
        ([{**LINEAR, "name": "forward"}], "layers[0].name: 'forward' is taken", "of its own"),
        ([{**LINEAR, "name": "a.b"}], "layers[0].name: 'a.b' cannot name a layer", "letters"),
        ([{**LINEAR, "name": ["a"]}], "layers[0].name: ['a'] cannot name a layer", "letters"),
        ([{"type": "Residual"}], "layers[0].layers: this is no list of layers", "Write"),
        ([{"type": "Residual", "layers": [{"type": "Liner"}]}], "layers[0].layers[0].type: there is no", "'Linear'"),
        ([{"type": "Residual", "layer": []}], "layers[0]: Residual takes no argument 'layer'", "'layers'"),
        (["Linear"], "layers[0]: this is no object", "Write"),
        ({"type": "Linear"}, "layers: this is no list of layers", "Write"),
        ("Linear", "layers: this is no list of layers", "Write"),
        ([], "layers: this is no list of layers", "Write"),
        (None, "layers: this is no list of layers", "Write"),
    ],
)
def test_a_wrong_entry_is_named_with_its_mend(spec: Any, said: str, mend: str) -> None:
    with pytest.raises(LayersError) as caught:
        build_layers(spec)
    assert said in caught.value.message
    assert mend in caught.value.hint
    assert caught.value.code == "model.layers"


ARGUMENTS = ("name", "in_features", "out_features", "kernel_size", "num_features", "p", "layers")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats() | st.sampled_from(["Linear", "ReLU", "same"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "name", "p"]), inner),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(
    spec=st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from([*PLAIN_LAYERS, "Residual"])},
            optional=dict.fromkeys(ARGUMENTS, JSON),
        ),
        max_size=3,
    )
    | JSON
)
def test_nothing_but_a_layers_error_leaves_the_builder(spec: Any) -> None:
    try:
        built = build_layers(spec)
    except LayersError:
        return
    assert isinstance(built, nn.Sequential)


class OwnLinear(nn.Linear):
    """A layer of the user's that computes something else."""


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (nn.Linear(2, 2), "a Linear cannot be written as a layer list"),
        (nn.Sequential(nn.LSTM(2, 2)), "layer '0' is a LSTM"),
        (nn.Sequential(OwnLinear(2, 2)), "layer '0' is a OwnLinear"),
        (nn.Sequential(nn.Sequential(nn.Linear(2, 2))), "layer '0' is a Sequential"),
    ],
)
def test_a_module_that_a_list_cannot_name_is_refused(module: nn.Module, said: str) -> None:
    with pytest.raises(LayersError) as caught:
        describe_layers(module)
    assert said in caught.value.message
