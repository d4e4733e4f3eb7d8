"""Drop-outs and wrong shares in Flower's own rounds, and the controls that tell exact from wrong from aborted."""

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from secagg.flower.captured import STAGES
from secagg.flower.rehearsal import FlowerRound
from secagg.flower.robustness import ABORTED, EXACT, WRONG, drop_out, plant_wrong_share

pytestmark = pytest.mark.flower
WORKFLOW = "flwr.server.workflow.secure_aggregation.secaggplus_workflow"


@pytest.mark.parametrize("stage", STAGES)
def test_flower_1_41_ends_exactly_or_not_at_all(stage: str) -> None:
    assert drop_out(5, stage, 0).outcome == EXACT
    lost = drop_out(5, stage, 1)
    assert lost.outcome == (ABORTED if stage in ("setup", "share_keys") else EXACT)
    assert (lost.reason is None) == (lost.outcome == EXACT)
    assert lost.software == "flwr 1.41.0"


@pytest.mark.parametrize("stage", ["collect_masked_vectors", "unmask"])
def test_more_drop_outs_than_the_threshold_bears_abort(stage: str) -> None:
    setting = FlowerRound(5, 3)
    assert drop_out(5, stage, 2, setting).outcome == EXACT
    assert drop_out(5, stage, 3, setting).outcome == ABORTED


def test_a_wrong_sum_is_told_from_an_exact_one() -> None:
    import flwr.server.workflow.secure_aggregation.secaggplus_workflow as module

    original = module.dequantize

    def off(*given: Any) -> Any:
        return [array + 1e-3 for array in original(*given)]

    with patch.object(module, "dequantize", off):
        outcome = drop_out(5, "unmask", 1)
    assert outcome.outcome == WRONG
    assert outcome.max_error is not None
    assert outcome.max_error >= 2e-4  # the mean of five


def test_there_are_no_other_stages() -> None:
    with pytest.raises(ValueError, match="allowed is setup"):
        drop_out(5, "lunch", 1)


def test_a_wrong_share_spoils_the_sum_of_flower_1_41_unnoticed() -> None:
    outcome = plant_wrong_share()
    assert outcome.without == EXACT
    assert outcome.outcome == WRONG
    assert not outcome.named
    assert outcome.max_error is not None
    assert outcome.max_error > 1e-3


def test_a_server_that_compares_shares_is_seen_to_notice() -> None:
    import flwr.server.workflow.secure_aggregation.secaggplus_workflow as module

    original = module.combine_shares

    def careful(shares: list[bytes]) -> bytes:
        secrets = {original(shares[:3]), original(shares[-3:])}
        if len(secrets) > 1:
            raise ValueError("shares disagree")
        return secrets.pop()

    with patch.object(module, "combine_shares", careful):
        outcome = plant_wrong_share()
    assert outcome.without == EXACT
    assert outcome.outcome == ABORTED
    assert outcome.max_error is None


def test_the_updates_of_a_rehearsal_do_not_depend_on_chance() -> None:
    first, second = (drop_out(5, "unmask", 0, length=4) for _ in range(2))
    assert first.max_error is not None
    assert second.max_error is not None
    np.testing.assert_allclose(first.max_error, second.max_error, atol=4e-6)  # stochastic rounding is Flower's dice
