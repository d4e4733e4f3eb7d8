"""Three engines, one objective: against one another, against torch's own gradients, and against finite differences."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from audit.engines.base import Chunked, LocalTraining, Matching
from audit.engines.factored import Factored, suits
from audit.engines.probe import choose_engine
from audit.engines.sequential import Sequential
from audit.engines.vmap import Vmap

ENGINES = (Factored, Vmap, Sequential)


def gradient(model: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(functional.cross_entropy(model(x), y), list(model.parameters()))
    return [one.detach() for one in found]


def slow(model: nn.Module, x: Tensor, y: Tensor, targets: list[list[Tensor]]) -> Tensor:
    """The definition: 1 - cos of the flattened gradients, trial by trial."""
    values = []
    for records, labels, target in zip(x, y, targets, strict=True):
        goal = torch.cat([one.reshape(-1) for one in target])
        loss = functional.cross_entropy(model(records), labels)
        found = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
        values.append(1 - functional.cosine_similarity(torch.cat([one.reshape(-1) for one in found]), goal, dim=0))
    return torch.stack(values)


def value_and_slope(objective: Callable[..., Tensor], x: Tensor, *rest: object) -> tuple[Tensor, Tensor]:
    guess = x.clone().requires_grad_()
    value = objective(guess, *rest)
    (slope,) = torch.autograd.grad(value.sum(), guess)
    return value.detach(), slope


@st.composite
def networks(draw: st.DrawFn) -> tuple[nn.Module, tuple[int, ...]]:
    """Convolutions of random strides, groups, dilations and padding, or none, then linear layers."""
    torch.manual_seed(draw(st.integers(0, 2**16)))
    bias = draw(st.booleans())
    activation = draw(st.sampled_from([nn.Sigmoid, nn.Tanh, nn.GELU]))
    dimensions = draw(st.sampled_from([0, 1, 2]))
    if dimensions == 0:
        shape: tuple[int, ...] = draw(st.sampled_from([(6,), (3, 4)]))  # (3, 4): a linear layer on rows
        layers: list[nn.Module] = [nn.Linear(shape[-1], 5, bias=bias), activation()]
    else:
        kind = nn.Conv1d if dimensions == 1 else nn.Conv2d
        groups = draw(st.sampled_from([1, 2]))
        shape = (2, 9) if dimensions == 1 else (2, 9, 8)
        first = kind(
            2, draw(st.sampled_from([2, 4])), draw(st.integers(1, 3)), stride=draw(st.integers(1, 3)),
            padding=draw(st.integers(0, 2)), dilation=draw(st.integers(1, 2)), groups=groups, bias=bias,
        )  # fmt: skip
        second = kind(first.out_channels, 12, 2, padding=1, stride=2, bias=draw(st.booleans()))
        layers = [first, activation(), second, activation()]
    model = nn.Sequential(*layers, nn.Flatten())
    width = model(torch.zeros(1, *shape)).shape[1]
    model.extend([nn.Linear(width, 4, bias=draw(st.booleans())), activation(), nn.Linear(4, 3)])
    return model.double(), shape


@settings(max_examples=15, deadline=None)
@given(networks(), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_all_engines_give_the_definition_to_1e_10(network, trials: int, batch: int, own_targets: bool) -> None:
    model, shape = network
    x = torch.randn(trials, batch, *shape, dtype=torch.float64)
    y = torch.randint(0, 3, (trials, batch))
    seen = [gradient(model, torch.randn(batch, *shape, dtype=torch.float64), y[0]) for _ in range(trials)]
    targets = seen if own_targets else [seen[0]] * trials
    expected, slope = value_and_slope(lambda guess: slow(model, guess, y, targets), x)
    target = [torch.stack(parts) for parts in zip(*seen, strict=True)] if own_targets else seen[0]
    for kind in ENGINES:
        value, found = value_and_slope(kind(model).objective, x, y, target)
        torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(found, slope, rtol=1e-8, atol=1e-10)


def small() -> tuple[nn.Module, Tensor, Tensor, list[Tensor]]:
    """A convolutional network, two trials of two records, and a target."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.Sigmoid(), nn.Flatten(), nn.Linear(75, 4)).double()
    x = torch.randn(2, 2, 1, 5, 5, dtype=torch.float64)
    y = torch.randint(0, 4, (2, 2))
    return model, x, y, gradient(model, torch.randn(2, 1, 5, 5, dtype=torch.float64), y[0])


@pytest.mark.parametrize("kind", ENGINES)
def test_the_slope_is_that_of_finite_differences(kind: type[Chunked]) -> None:
    model, x, y, target = small()
    engine = kind(model)
    torch.autograd.gradcheck(lambda guess: engine.objective(guess, y, target), x.requires_grad_(), atol=1e-7)


@pytest.mark.parametrize("kind", ENGINES)
def test_a_soft_label_can_be_sought_too(kind: type[Chunked]) -> None:
    model, x, y, target = small()
    engine = kind(model)
    soft = functional.one_hot(y, 4).double()
    torch.testing.assert_close(engine.objective(x, soft, target), engine.objective(x, y, target))
    uneven = torch.softmax(torch.randn(2, 2, 4, dtype=torch.float64), dim=-1).requires_grad_()
    torch.autograd.gradcheck(lambda labels: engine.objective(x, labels, target), uneven, atol=1e-7)


@pytest.mark.parametrize("kind", ENGINES)
def test_it_is_zero_at_the_truth_whatever_the_scale_and_one_where_there_is_no_gradient(kind: type[Chunked]) -> None:
    model, x, y, _ = small()
    target = [1e-6 * one for one in gradient(model, x[0], y[0])]
    found = kind(model.float()).objective(x.float(), y, [one.float() for one in target])
    assert abs(float(found[0])) < 1e-5 < float(found[1])
    dead = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2, bias=False))
    nn.init.constant_(dead[0].bias, -1e3)
    goal = [torch.ones_like(parameter) for parameter in dead.parameters()]
    value, slope = value_and_slope(
        kind(dead).objective, torch.zeros(1, 1, 4), torch.zeros(1, 1, dtype=torch.long), goal
    )
    assert float(value) == 1.0
    assert not slope.any()


@pytest.mark.parametrize("kind", [Factored, Vmap])
def test_chunks_do_not_change_a_number(kind: type[Chunked], monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, y, target = small()
    x, y = x.repeat(3, 1, 1, 1, 1), y.repeat(3, 1)
    whole, slope = value_and_slope(kind(model).objective, x, y, target)
    engine = kind(model)
    monkeypatch.setattr(engine, "chunk", lambda _: 2)
    parts, found = value_and_slope(engine.objective, x, y, target)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(found, slope)


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(18, 2))
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x, y = torch.randn(2, 3, 1, 5, 5), torch.zeros(2, 3, dtype=torch.long)
    target = gradient(model.eval(), x[0], y[0])
    model.train()
    Sequential(model).objective(x, y, target)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model[2].inplace
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, state[name])


def test_an_activation_in_place_is_no_trap() -> None:
    torch.manual_seed(1)
    plain = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 2))
    overwriting = nn.Sequential(plain[0], nn.ReLU(inplace=True), plain[2], plain[3])
    x, y = torch.randn(2, 1, 1, 5, 5), torch.zeros(2, 1, dtype=torch.long)
    target = gradient(plain, torch.randn(1, 1, 5, 5), y[0])
    expected = value_and_slope(Sequential(plain).objective, x, y, target)
    for kind in ENGINES:
        torch.testing.assert_close(value_and_slope(kind(overwriting).objective, x, y, target), expected)


@pytest.mark.parametrize("matching", [Matching(surviving=True), Matching(sharpness=2.0)])
def test_what_an_adaptive_attacker_compares_is_what_it_says(matching: Matching) -> None:
    model, x, y, target = small()
    goal = [torch.where(one.abs() > 0.01, one, 0.0) for one in target]
    goal = [one.sign() for one in goal] if matching.sharpness else goal
    seen = gradient(model, x[0], y[0])
    if matching.sharpness:
        mean = torch.cat([one.reshape(-1) for one in seen]).abs().mean()
        compared = [torch.tanh(2.0 * one / mean) for one in seen]
    else:
        compared = [one * (there != 0) for one, there in zip(seen, goal, strict=True)]
    first, second = (torch.cat([one.reshape(-1) for one in tensors]) for tensors in (compared, goal))
    expected = 1 - functional.cosine_similarity(first, second, dim=0)
    for engine in (Vmap(model, matching=matching), Sequential(model, matching=matching)):
        torch.testing.assert_close(engine.objective(x, y, goal)[0], expected)


def test_local_steps_are_those_of_plain_descent() -> None:
    model, x, y, _ = small()
    training = LocalTraining(steps=3, learning_rate=0.2, batch_size=1)
    client = nn.Sequential(*model)
    before = [parameter.detach().clone() for parameter in client.parameters()]
    optimiser = torch.optim.SGD(client.parameters(), lr=0.2)
    for row in (0, 1, 0):
        optimiser.zero_grad()
        functional.cross_entropy(client(x[0, row : row + 1]), y[0, row : row + 1]).backward()
        optimiser.step()
    delta = [after.detach() - start for after, start in zip(client.parameters(), before, strict=True)]
    with torch.no_grad():
        for parameter, start in zip(model.parameters(), before, strict=True):
            parameter.copy_(start)
    engine = Sequential(model, training=training)
    found = engine.objective(x, y, delta)
    assert abs(float(found[0])) < 1e-10 < float(found[1])
    torch.autograd.gradcheck(lambda guess: engine.objective(guess, y, delta), x.requires_grad_(), atol=1e-7)


def test_a_target_of_other_shapes_is_refused() -> None:
    model, x, y, target = small()
    with pytest.raises(ValueError, match="shapes"):
        Sequential(model).objective(x, y, target[:-1])


class Tied(nn.Module):
    """Uses a linear layer's weight behind the back of the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(torch.tanh(self.one(x)), self.one.weight)


class Twice(Tied):
    """Calls a layer twice."""

    def forward(self, x: Tensor) -> Tensor:
        return self.one(torch.tanh(self.one(x)))


@pytest.mark.parametrize(
    ("model", "shape", "trials", "chosen"),
    [
        (nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 2)), (4,), 1, "factored"),
        (nn.Sequential(nn.Conv2d(1, 2, 3, groups=1), nn.Flatten(), nn.Linear(8, 2)), (1, 4, 4), 8, "factored"),
        (nn.Sequential(nn.Linear(4, 9), nn.LayerNorm(9), nn.Linear(9, 2)), (4,), 8, "vmap"),
        (nn.Sequential(nn.Linear(4, 9), nn.LayerNorm(9), nn.Linear(9, 2)), (4,), 1, "sequential"),
        (nn.Sequential(nn.Linear(4, 1600), nn.LayerNorm(1600), nn.Linear(1600, 2000)), (4,), 8, "sequential"),
        (nn.Sequential(nn.Linear(4, 9), nn.BatchNorm1d(9), nn.Linear(9, 2)).eval(), (4,), 8, "vmap"),
        (nn.Sequential(nn.Linear(4, 9), nn.BatchNorm1d(9), nn.Linear(9, 2)).train(), (4,), 8, "sequential"),
        (Tied(), (4,), 8, "vmap"),
        (Twice(), (4,), 8, "vmap"),
    ],
)
def test_the_choice_is_made_by_counting(model: nn.Module, shape: tuple[int, ...], trials: int, chosen: str) -> None:
    target = [torch.randn_like(parameter) for parameter in model.parameters()]
    with torch.no_grad():
        before = [parameter.clone() for parameter in model.parameters()]
    assert choose_engine(model, target, trials, "cpu", shape=shape).name == chosen
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))


def test_an_engine_that_is_asked_for_is_taken_where_it_can() -> None:
    model = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 2))
    target = [torch.randn_like(parameter) for parameter in model.parameters()]
    for name in ("factored", "vmap", "sequential"):
        assert choose_engine(model, target, 2, shape=(4,), name=name).name == name
    assert (
        choose_engine(model, target, 2, shape=(4,), name="factored", matching=Matching(surviving=True)).name
        != "factored"
    )
    steps = LocalTraining(steps=2, learning_rate=0.1)
    assert choose_engine(model, target, 2, shape=(4,), name="vmap", training=steps).name == "sequential"


def test_what_the_factored_engine_cannot_take_it_refuses() -> None:
    for model in (
        nn.LayerNorm(3),
        nn.Conv2d(1, 1, 3, padding="same"),
        nn.Conv2d(1, 1, 3, padding_mode="reflect"),
        Tied(),
    ):
        assert suits(model) is isinstance(model, Tied)  # modules alone do not show what a forward pass does with them
    with pytest.raises(ValueError, match="linear and convolutional"):
        Factored(nn.LayerNorm(3))
