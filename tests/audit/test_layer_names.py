"""A user's module laid out as a flat list."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from audit.layer_names import captured_model
from unlearning.errors import ModelError
from unlearning.models import build_layers


def test_nested_names_are_joined_and_plain_ones_kept() -> None:
    inner = nn.Sequential(OrderedDict(body=nn.Sequential(nn.Linear(2, 3), nn.ReLU()), head=nn.Linear(3, 1)))
    captured = captured_model(inner, None, None)
    assert list(captured.renamed(inner.state_dict())) == ["body_0.weight", "body_0.bias", "head.weight", "head.bias"]
    build_layers(captured.layers).load_state_dict(captured.renamed(inner.state_dict()))


def test_two_layers_never_share_a_name() -> None:
    clash = nn.Sequential(OrderedDict([("a", nn.Sequential(OrderedDict(b=nn.ReLU()))), ("a_b", nn.Linear(1, 1))]))
    with pytest.raises(ModelError, match="one name"):
        captured_model(clash, None, None)


def test_a_tensor_of_another_model_is_refused() -> None:
    with pytest.raises(ModelError, match="no tensor 'odd'"):
        captured_model(nn.Linear(1, 1), None, None).renamed({"odd": torch.zeros(1)})


class Squared(nn.Linear):
    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002
        return super().forward(input) ** 2


def test_a_subclass_is_not_taken_for_the_layer_it_extends() -> None:
    with pytest.raises(ModelError, match="Squared"):
        captured_model(nn.Sequential(Squared(2, 2)), None, None)
