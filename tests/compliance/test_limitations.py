"""What an assessment does not show is said: here what its endpoint was asked without."""

from collections.abc import Sequence

import pytest

from compliance.limitations import limitations_of


@pytest.mark.parametrize("dropped", [(), ("seed",), ("seed", "temperature")])
def test_a_parameter_that_was_not_sent_is_named(dropped: Sequence[str]) -> None:
    told = limitations_of("admitted", (), (), ["m"], planted=True, recorded=True, local=False, dropped=dropped)
    without = [sentence for sentence in told if "was asked without" in sentence]
    assert len(without) == bool(dropped)
    assert all(name in sentence for name in dropped for sentence in without)
