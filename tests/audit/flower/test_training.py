"""What an app's configuration tells of its training, whoever has written it."""

import math

import pytest

from audit.flower.training import training_of


def test_steps_are_counted_from_epochs_and_batches() -> None:
    found = training_of({"lr": 0.1, "local-epochs": 2, "batch-size": 4, "num-server-rounds": 3}, 10)
    assert found.entry == {"batch_size": 4, "local_steps": 6, "learning_rate": 0.1}
    assert (found.federation["rounds"], found.federation["local_epochs"]) == (3, 2)


@pytest.mark.parametrize("odd", [math.inf, math.nan, True, "0.1", None])
def test_what_is_no_finite_number_is_not_told(odd: object) -> None:
    found = training_of(dict.fromkeys(("lr", "local-epochs", "batch-size", "num-server-rounds"), odd), 10)
    assert found.entry == {"batch_size": 10, "local_steps": 1, "learning_rate": None}
    assert found.rounds is None
