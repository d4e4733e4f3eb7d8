"""The recorded graph: who chose it, and whether survivors stay connected when more of them fall away."""

from collections.abc import Callable
from typing import Any

import pytest

from reports.model import Effort, Severity, Status, Strength
from secagg.checks.transcript_graph import graph
from secagg.drops import DropPlan

Ward = Callable[..., Any]
SPARSE = {"degree": 4, "threshold": 3}


def test_a_sparse_graph_that_holds_passes_statistically_and_says_whose_beacon_it_was(ward: Ward, tmp_path: Any) -> None:
    finding = ward(tmp_path, SPARSE).asked(graph)
    assert (finding.status, finding.strength) == (Status.PASS, Strength.STATISTICAL)
    [removals] = [one for one in finding.measurements if one.name == "disconnected_removals"]
    assert (removals.value, removals.n) == (0.0, 100)
    assert removals.interval is not None
    assert removals.interval.high < 0.04
    assert any("simulation" in text for text in finding.limitations)
    assert finding.detail == "Control: 2 of 2 faults planted in one transcript were noticed."


def test_more_effort_takes_more_away(ward: Ward, tmp_path: Any) -> None:
    finding = ward(tmp_path, SPARSE, SPARSE).asked(graph, Effort.STANDARD)
    [removals] = [one for one in finding.measurements if one.name == "disconnected_removals"]
    assert removals.n == 1000


def test_a_complete_graph_cannot_be_cut_and_passes_exactly(ward: Ward, tmp_path: Any) -> None:
    finding = ward(tmp_path, {}).asked(graph)
    assert (finding.status, finding.strength) == (Status.PASS, Strength.EXACT)
    assert "disconnected_removals" not in {one.name for one in finding.measurements}


def test_a_chain_of_clients_fails_where_one_dropped_and_one_more_can_be_taken_away(ward: Ward, tmp_path: Any) -> None:
    dropped = DropPlan({"masked-input": ("c00003",)})
    chain = {"degree": 2, "threshold": 1, "client": "weak", "drop": dropped}  # strict clients refuse one share
    finding = ward(tmp_path, chain).asked(graph)
    assert (finding.status, finding.severity) == (Status.FAIL, Severity.HIGH)
    assert "leave the others disconnected" in finding.summary
    assert finding.remedy is not None
    assert (finding.remedy.parameter, finding.remedy.direction) == ("federation.secure_aggregation.degree", "raise")


@pytest.mark.parametrize(
    ("source", "trust", "degree", "status"),
    [
        ("server", "malicious", 4, Status.FAIL),  # it could try beacons
        ("public:drand 17", "malicious", 4, Status.PASS),
        ("server", "honest-but-curious", 4, Status.PASS),  # a curious server follows the protocol
        ("server", "malicious", 6, Status.PASS),  # complete: nothing to choose
    ],
)
def test_who_may_choose_the_beacon(
    ward: Ward, tmp_path: Any, source: str, trust: str, degree: int, status: Status
) -> None:
    rounds = {"degree": degree, "threshold": 3, "beacon_source": source, "client": "weak"}  # strict ones refuse
    finding = ward(tmp_path, rounds, server_trust=trust).asked(graph)
    assert finding.status is status
    told = [text for text in finding.limitations if "beacon" in text]
    assert len(told) == (degree < 6)
    if status is Status.FAIL:
        assert finding.strength is Strength.EXACT
        assert finding.remedy is not None
        assert finding.remedy.parameter == "federation.secure_aggregation.beacon_source"
