"""The stage: duplicates, sightings of one record, and whom the null arm takes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from audit import scene as scenes
from audit.load import NO_LABEL, Truth
from audit.scene import null_records, other_sightings, public_twins, set_scene
from audit.twin import Scale
from audit.view import View

PLAIN = Scale(np.zeros(1), np.ones(1))
MODEL = nn.Sequential(nn.Linear(2, 2))


def view(*records: tuple[float, float, int]) -> View:
    x = torch.tensor([record[:2] for record in records])
    y = torch.tensor([record[2] for record in records])
    return View("view", "gradient", {"0.weight": torch.ones(2, 2)}, MODEL, Truth(x, y))


def public(*records: tuple[float, float, int]) -> Truth:
    return view(*records).truth


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


A, B, C = (0.0, 1.0, 0), (2.0, 3.0, 1), (4.0, 5.0, 0)


def test_a_record_planted_twice_is_one_candidate() -> None:
    scene = set_scene([view(B), view(A, B), view(A)], None, PLAIN, rng())
    np.testing.assert_array_equal(scene.candidates, [B[:2], A[:2]])  # in the order they were declared
    assert [sighting.records.tolist() for sighting in scene.sightings] == [[0], [0, 1], [1]]


def test_views_of_one_record_alone_are_read_together() -> None:
    scene = set_scene([view(A), view(B), view(A), view(A, B)], None, PLAIN, rng())
    assert [(len(s.views), s.records.tolist()) for s in scene.sightings] == [(2, [0]), (1, [1]), (1, [0, 1])]


def test_a_batch_of_one_record_repeated_is_not_a_batch_of_one() -> None:
    scene = set_scene([view(A, A), view(A)], None, PLAIN, rng())
    assert [len(sighting.views) for sighting in scene.sightings] == [1, 1]


def test_chance_is_the_largest_crowd_over_the_candidates() -> None:
    scene = set_scene([view(A), view(B, C)], public((7.0, 7.0, 1), (8.0, 8.0, 1)), PLAIN, rng())
    assert scene.chance == pytest.approx(2 / 5)


def test_candidates_are_normalised_for_the_layer() -> None:
    scene = set_scene([view(B)], None, Scale(np.full(1, 1.0), np.full(1, 2.0)), rng())
    np.testing.assert_array_equal(scene.inputs, [[0.5, 1.0]])
    assert scene.span == (2.0, 3.0)


def test_only_a_huge_reference_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = public(*[(float(i), 0.0, 0) for i in range(30)])
    assert len(set_scene([view(A)], reference, PLAIN, rng()).candidates) == 31
    monkeypatch.setattr(scenes, "MOST_CANDIDATES", 11)
    sampled = set_scene([view(A)], reference, PLAIN, rng()).candidates
    assert len(sampled) == 11
    np.testing.assert_array_equal(sampled[0], A[:2])


def test_bystanders_are_candidates_and_never_in_the_null_arm() -> None:
    reference = public((5.0, 5.0, 0), (9.0, 9.0, 0))
    scene = replace(set_scene([view(A)], reference, PLAIN, rng()), bystanders=public((9.0, 9.0, 0), (8.0, 8.0, 0)))
    assert scene.candidates.tolist() == [[0.0, 1.0], [5.0, 5.0], [9.0, 9.0], [9.0, 9.0], [8.0, 8.0]]
    for seed in range(10):
        (drawn,) = null_records(scene, rng(seed))
        assert drawn is not None
        assert drawn.x.tolist() == [[5.0, 5.0]]


def test_the_null_takes_public_records_with_the_same_labels() -> None:
    reference = public((5.0, 5.0, 0), (6.0, 6.0, 0), (7.0, 7.0, 1), (0.0, 1.0, 0))
    scene = set_scene([view(A, C), view(B)], reference, PLAIN, rng())
    for seed in range(10):
        first, second = null_records(scene, rng(seed))
        assert first is not None
        assert second is not None
        assert sorted(first.x[:, 0].tolist()) == [5.0, 6.0]  # never the public twin of a planted record
        assert second.x.tolist() == [[7.0, 7.0]]


def test_where_public_records_are_too_few_there_is_no_such_null() -> None:
    reference = public((5.0, 5.0, 0), (7.0, 7.0, NO_LABEL))
    assert null_records(set_scene([view(A, C), view(B)], reference, PLAIN, rng()), rng()) == [None, None]


def test_another_sighting_shares_no_record_and_the_labels_if_it_can() -> None:
    scene = set_scene([view(A), view(B), view(C), view(A, B)], None, PLAIN, rng())
    for seed in range(20):
        assert other_sightings(scene, rng(seed)) == [2, pytest.approx(other_sightings(scene, rng(seed))[1]), 0, 2]
        assert other_sightings(scene, rng(seed))[1] in (0, 2)


def test_a_lone_sighting_has_no_other() -> None:
    assert other_sightings(set_scene([view(A, B)], None, PLAIN, rng()), rng()) == [None]


def test_public_twins_are_counted_whatever_the_sign_of_zero() -> None:
    scene = set_scene([view(A, B)], public((-0.0, 1.0, 1), (9.0, 9.0, 1)), PLAIN, rng())
    assert public_twins(scene) == 1
