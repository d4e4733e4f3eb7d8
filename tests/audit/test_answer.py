"""The sentence, the mend and the limits of an answer."""

import numpy as np
import pytest
from torch import nn

from audit.answer import diagnose, left_out
from audit.arms import Played
from audit.attacks.linear import linear
from audit.defences import clip, gaussian
from audit.load import Excluded
from reports.model import Status


def test_what_was_left_out_is_named_up_to_ten() -> None:
    lines = left_out([Excluded(f"u{i}", "it holds NaN") for i in range(13)], silent=2)
    assert lines[0] == "Left out: u0, since it holds NaN."
    assert lines[10] == "Left out: 3 more updates with NaN or infinity."
    assert "2 planted records" in lines[11]


@pytest.mark.parametrize(
    ("keys", "model", "public", "words"),
    [
        ({"dead": 0.9}, nn.Linear(1, 1), 0, "dead units: 90%"),
        ({"dead": 0.1}, nn.Linear(1, 1), 5, "5 planted records equal a public one"),
        ({}, nn.Sequential(nn.BatchNorm1d(2)), 0, "normalises batches"),
        ({}, nn.Linear(1, 1), 0, "check [model].normalisation"),
    ],
)
def test_a_failed_control_is_diagnosed(keys, model, public: int, words: str) -> None:
    nothing = np.zeros(8, dtype=bool)
    assert words in diagnose(Played(nothing, nothing, nothing, **keys), model, public)


def test_records_that_are_public_are_told(planted, ask, digits) -> None:
    folder = planted(clients=20, reference=100)
    np.savez(folder / "reference.npz", x=digits.x[:60], y=digits.y[:60])
    finding = ask(linear, folder).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "control-failed")
    assert "equal a public one" in finding.summary


@pytest.mark.parametrize(("clients", "noise"), [(60, 1.0), (20, 0.0), (20, 1.0)])
def test_summaries_are_short_sentences_and_planting_is_always_said(planted, ask, clients: int, noise: float) -> None:
    finding = ask(linear, planted(clients=clients, defend=lambda u, r: gaussian(clip(u, 1.0), noise, r))).finding
    assert finding.summary.endswith(".")
    assert len(finding.summary) < 300
    assert any("planted" in line for line in finding.limitations)
