"""`integrity.accuracy`: a true claim passes, a false one and a useless model fail, permuted labels are watched."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import nn

from audit.accuracy import Accuracy, accuracy, answers_of, decided, measured
from audit.attacks.shadow import Recipe
from reports.errors import SystemFileError
from reports.model import Status
from tests.audit.released_model import PERCEPTRON, released, trained_on
from unlearning.layers import build_layers


@pytest.fixture(scope="module")
def classifier(digits: Any) -> nn.Module:
    """Right on about nineteen digits in twenty."""
    return trained_on((digits.x[:900], digits.y[:900]), Recipe(local_epochs=30, learning_rate=0.1))


def judged(ask: Any, folder: Path, model: nn.Module, records: Any, role: str = "nonmembers", **described: Any) -> Any:
    return ask(accuracy, released(folder, model, data={role: records}, **described))


def test_a_true_claim_passes_with_its_interval(tmp_path: Path, ask: Any, digits: Any, classifier: nn.Module) -> None:
    x, y = digits.x[900:], digits.y[900:]
    asked = judged(ask, tmp_path, classifier, (x, y), claims={"accuracy": 0.85})
    finding = asked.finding
    assert finding.status is Status.PASS, finding.summary
    right = int((classifier(torch.from_numpy(x)).argmax(1).numpy() == y).sum())
    figure = next(one for one in finding.measurements if one.name == "accuracy")
    exact = binomtest(right, len(y)).proportion_ci(0.95, method="exact")
    assert (figure.value, figure.n) == (right / len(y), len(y))
    assert figure.interval is not None
    assert (figure.interval.low, figure.interval.high) == pytest.approx((exact.low, exact.high))
    assert figure.control == pytest.approx(0.1, abs=0.04)  # labels permuted: a digit in ten by chance
    assert asked.value("commonest_label") == np.bincount(y).max() / len(y)


def test_a_claim_above_the_interval_fails_and_the_remedy_mends_it(
    tmp_path: Path, ask: Any, digits: Any, classifier: nn.Module
) -> None:
    records = (digits.x[900:], digits.y[900:])
    finding = judged(ask, tmp_path / "a", classifier, records, claims={"accuracy": 0.999}).finding
    assert finding.status is Status.FAIL
    assert "99.9% is claimed" in finding.summary
    assert finding.remedy is not None
    assert finding.remedy.parameter == "claims.accuracy"
    mended = {"accuracy": float(finding.remedy.value or 1)}
    assert judged(ask, tmp_path / "b", classifier, records, claims=mended).finding.status is Status.PASS


def test_a_model_no_better_than_one_answer_fails(tmp_path: Path, ask: Any, digits: Any) -> None:
    constant = build_layers(PERCEPTRON)
    with torch.no_grad():
        for parameter in constant.parameters():
            parameter.zero_()  # always the first label
    finding = judged(ask, tmp_path, constant, (digits.x[:600], digits.y[:600])).finding
    assert finding.status is Status.FAIL
    assert finding.remedy is not None
    assert finding.remedy.parameter == "model.checkpoint"


def test_few_records_can_fail_but_never_pass(tmp_path: Path, ask: Any, digits: Any, classifier: nn.Module) -> None:
    few = (digits.x[900:960], digits.y[900:960])
    finding = judged(ask, tmp_path / "a", classifier, few).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "too-few-records")
    wrong = (few[0], (few[1] + 1) % 10)
    assert judged(ask, tmp_path / "b", classifier, wrong, claims={"accuracy": 0.9}).finding.status is Status.FAIL


def test_non_members_go_before_calibration(tmp_path: Path, ask: Any, digits: Any, classifier: nn.Module) -> None:
    sound, wrong = (digits.x[900:1200], digits.y[900:1200]), (digits.x[900:1200], (digits.y[900:1200] + 1) % 10)
    both = released(tmp_path / "both", classifier, data={"calibration": wrong, "nonmembers": sound})
    assert ask(accuracy, both).finding.status is Status.PASS
    assert judged(ask, tmp_path / "one", classifier, sound, "calibration").finding.status is Status.PASS


def test_normalisation_is_applied(tmp_path: Path, ask: Any, digits: Any, classifier: nn.Module) -> None:
    coarse = (digits.x[900:] * 16, digits.y[900:])
    scale = {"mean": [0.0], "std": [16.0]}
    plain = judged(ask, tmp_path / "a", classifier, (digits.x[900:], digits.y[900:]))
    scaled = judged(ask, tmp_path / "b", classifier, coarse, normalisation=scale, input_shape=[64])
    assert scaled.value("accuracy") == plain.value("accuracy")


@pytest.mark.parametrize(
    ("found", "claim", "status", "reason"),
    [
        (Accuracy(180, 200, 0.5, 90), None, Status.PASS, ""),
        (Accuracy(180, 200, 0.5, 90), 0.9, Status.PASS, ""),
        (Accuracy(180, 200, 0.5, 90), 0.92, Status.INCONCLUSIVE, "undecided"),  # below, but not surely
        (Accuracy(180, 200, 0.5, 90), 0.97, Status.FAIL, ""),
        (Accuracy(180, 200, 0.95, 90), None, Status.FAIL, ""),
        (Accuracy(180, 200, 0.88, 90), None, Status.INCONCLUSIVE, "undecided"),
        (Accuracy(90, 99, 0.5, 45), None, Status.INCONCLUSIVE, "too-few-records"),
        (Accuracy(180, 200, 0.5, 130), None, Status.INCONCLUSIVE, "control-failed"),
        (Accuracy(20, 200, 0.5, 130), None, Status.FAIL, ""),
    ],
)
def test_the_rule(found: Accuracy, claim: float | None, status: Status, reason: str) -> None:
    assert decided(found, claim) == (status, reason)


def test_permuting_labels_leaves_no_more_than_the_commonest() -> None:
    failed = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 3, 120)
        found = measured(labels, labels, rng)  # a perfect model
        failed += decided(found, None) != (Status.PASS, "")
    assert failed <= 5


def test_a_true_claim_is_refuted_in_one_of_twenty_samples_at_most() -> None:
    rng, refuted = np.random.default_rng(1), 0
    for _ in range(400):
        labels = rng.integers(0, 10, 300)
        answers = np.where(rng.random(300) < 0.9, labels, -1)
        refuted += decided(measured(answers, labels, rng), 0.9)[0] is Status.FAIL
    assert refuted <= 20


def test_one_logit_answers_for_label_one_and_no_number_is_no_answer() -> None:
    class Given(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    assert answers_of(Given(), torch.tensor([[-1.0], [2.0], [float("nan")]])).tolist() == [0, 1, -1]
    assert answers_of(Given(), torch.tensor([[0.0, 3.0, 1.0], [0.0, float("nan"), 1.0]])).tolist() == [1, -1]


def test_what_it_cannot_ask_is_told(tmp_path: Path, ask: Any, digits: Any, classifier: nn.Module) -> None:
    targets = judged(ask, tmp_path / "a", classifier, (digits.x[:120], digits.y[:120]), task="regression").finding
    assert (targets.status, targets.reason) == (Status.SKIPPED, "not-applicable:no-labels")
    with pytest.raises(SystemFileError, match="NaN or infinity"):
        judged(ask, tmp_path / "b", classifier, (np.full((120, 64), np.nan), digits.y[:120]))
