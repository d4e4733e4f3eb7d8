"""What the attacker sees, by visibility, trust, noise, silence and collusion."""

import numpy as np
import pytest
import torch

from audit.capture import Capture
from audit.load import planted_updates
from audit.manifest import load_system
from audit.view import visible

SUMS = {"visibility": "aggregate", "server_trust": "honest-but-curious"}


def as_summed(sums, _rng):
    return sums


def views(folder, seed: int = 0):
    loaded = load_system(folder / "system.toml")
    planted = planted_updates(loaded.system, loaded.folder)
    return visible(loaded.system, planted.updates, np.random.default_rng(seed))


def test_the_tool_sums_where_no_sum_is_recorded(planted) -> None:
    seen = views(planted(clients=4, rounds=2, federation=SUMS))
    assert (len(seen.singles), len(seen.sums)) == (0, 2)
    recorded = views(planted(clients=4, rounds=2, federation=SUMS, aggregates=as_summed, name="recorded"))
    for made, read in zip(seen.sums, recorded.sums, strict=True):
        for name, tensor in made.tensors.items():
            torch.testing.assert_close(tensor, read.tensors[name], atol=1e-6, rtol=1e-4)
        assert torch.equal(made.truth.x, read.truth.x)


@pytest.mark.parametrize(("fraction", "left"), [(0.0, 10), (0.29, 8), (0.3, 7), (0.9, 1)])
def test_corrupt_clients_leave_the_crowd_and_the_sum(planted, fraction: float, left: int) -> None:
    federation = {**SUMS, "secure_aggregation": {"corrupt_fraction": fraction}}
    folder = planted(clients=10, rounds=2, federation=federation, aggregates=as_summed)
    for view in views(folder).sums:
        assert (view.clients, len(view.truth)) == (left, left)
    loaded = load_system(folder / "system.toml")
    updates = planted_updates(loaded.system, loaded.folder).updates
    view = views(folder).sums[0]
    kept = [u for u in updates if u.kind != "aggregate" and any(torch.equal(u.truth.x[0], x) for x in view.truth.x)]
    for name, tensor in view.tensors.items():
        honest = torch.stack([update.tensors[name] for update in kept]).sum(0)
        torch.testing.assert_close(tensor, honest, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize(("visibility", "singles", "sums"), [("update", 12, 3), ("aggregate", 0, 3), (None, 12, 3)])
def test_visibility_decides_whether_single_updates_are_seen(planted, visibility, singles: int, sums: int) -> None:
    federation = {"visibility": visibility} if visibility else {}
    seen = views(planted(clients=4, rounds=3, federation=federation, aggregates=as_summed))
    assert (len(seen.singles), len(seen.sums)) == (singles, sums)


def test_nothing_is_summed_for_an_attacker_who_sees_updates(planted) -> None:
    assert views(planted(clients=4, rounds=3)).sums == ()


@pytest.mark.parametrize(
    ("trust", "by", "clear"),
    [
        ("honest-but-curious", "server", True),
        ("malicious", "server", True),
        (None, "server", True),
        ("trusted", "server", False),
        ("honest-but-curious", "clients", False),
        ("honest-but-curious", None, False),
    ],
)
def test_who_adds_the_noise_decides_which_sum_is_seen(planted, trust, by, clear: bool) -> None:
    noise = {"noise_multiplier": 2.0, "clipping_norm": 0.5, "noise_added_by": by}
    federation = {"visibility": "aggregate", "server_trust": trust, "differential_privacy": noise}
    folder = planted(clients=3, federation=federation, aggregates=lambda s, r: {n: v + 1 for n, v in s.items()})
    (view,) = views(folder).sums
    assert bool((view.tensors["0.bias"] > 0.5).all()) is not clear
    assert view.noise_deviation == (0.0 if clear else 1.0)
    told = "not declared" in " ".join(views(folder).limitations)
    assert told is (by is None)


def test_a_sum_without_its_updates_counts_the_clients_it_names(tmp_path, perceptron, digits) -> None:
    model = perceptron()
    federation = {**SUMS, "secure_aggregation": {"corrupt_fraction": 0.25}}
    with Capture(tmp_path / "only", model, name="only", federation=federation) as capture:
        total = {name: torch.randn_like(p) for name, p in model.named_parameters()}
        capture.record_aggregate(total, clients=8, round=1, batch=(digits.x[:8], digits.y[:8]))
    (view,) = views(tmp_path / "only").sums
    assert (view.clients, len(view.truth)) == (6, 8)
