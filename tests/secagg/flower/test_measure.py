"""Flower's round, measured: its real workflow comes to the plaintext mean, whoever drops out."""

import numpy as np
import pytest

from secagg.flower.measure import measured_flower_round, version
from secagg.setting import RoundConfig

pytestmark = pytest.mark.flower


@pytest.mark.parametrize("dropped", [0, 1])
def test_flowers_round_comes_to_the_mean_of_its_survivors(dropped: int) -> None:
    config = RoundConfig(5, 400, 4, 3)
    updates = np.random.default_rng(4).normal(0, 1, (5, 400)).astype(np.float32)
    measured = measured_flower_round(config, updates, dropped)
    assert measured.max_abs_error is not None
    assert measured.max_abs_error <= 1e-5
    assert measured.client_ms > 0
    assert measured.server_s > 0
    assert measured.upload_bytes > 8 * 400  # its words have 64 bits


def test_too_many_drop_outs_are_no_result() -> None:
    config = RoundConfig(5, 400, 4, 3)
    with pytest.raises(RuntimeError, match="without a result"):
        measured_flower_round(config, np.ones((5, 400), np.float32), 3)


def test_its_version_is_told() -> None:
    assert version().count(".") == 2
