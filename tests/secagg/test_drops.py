"""Plans of drop-outs: their text form, who is drawn, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.drops import PHASES, DropPlan
from secagg.limits import ParameterError

COHORT = tuple(f"c{i:05d}" for i in range(1, 41))


def test_texts_name_and_count() -> None:
    plan = DropPlan.parse(["shares=2", "masked-input=c00001,c00004", "shares=1", "masked-input=c00009"])
    assert plan == DropPlan({"masked-input": ("c00001", "c00004", "c00009")}, {"shares": 3})
    assert not plan.is_empty
    assert DropPlan.parse([]).is_empty
    assert DropPlan.parse(["unmask=0"]).is_empty


@given(st.dictionaries(st.sampled_from(PHASES), st.integers(0, 7)), st.integers(0, 2**32))
def test_as_many_vanish_as_counted_and_the_same_for_the_same_seed(counted: dict[str, int], seed: int) -> None:
    plan = DropPlan({"shares": ("c00007", "c00003")}, counted)
    falls = plan.resolve(COHORT, np.random.default_rng(seed))
    for phase in PHASES:
        named = 2 if phase == "shares" else 0
        assert sum(one == phase for one in falls.values()) == counted.get(phase, 0) + named
    assert falls.keys() <= set(COHORT)
    assert (falls["c00007"], falls["c00003"]) == ("shares", "shares")
    assert falls == plan.resolve(COHORT, np.random.default_rng(seed))


def test_everybody_is_drawn_sometimes() -> None:  # 200 draws of 4 in 40: nobody is missed but with chance 3e-8
    rng = np.random.default_rng(1)
    plan = DropPlan(counted={"unmask": 4})
    assert {one for _ in range(200) for one in plan.resolve(COHORT, rng)} == set(COHORT)


@pytest.mark.parametrize(
    "text", ["", "shares", "shares=", "sharing=1", "=3", "shares=c00001,c00001", "unmask=-1", "unmask=c00001,"]
)
def test_what_is_no_plan_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(ParameterError, match=r"drop is .*allowed is"):
        DropPlan.parse([text]).resolve(COHORT, np.random.default_rng(1))


def test_one_client_vanishes_once_and_nobody_who_is_not_there() -> None:
    with pytest.raises(ParameterError, match="each client once"):
        DropPlan.parse(["shares=c00001", "unmask=c00001"])
    with pytest.raises(ParameterError, match="ids of the cohort, c00001 to c00040"):
        DropPlan.parse(["shares=c00041"]).resolve(COHORT, np.random.default_rng(1))
    with pytest.raises(ParameterError, match="41; allowed is at most 40 drop-outs"):
        DropPlan.parse(["shares=40", "unmask=c00001"]).resolve(COHORT, np.random.default_rng(1))
