"""Reading sums: who is in the crowd, who adds the noise, and a pass that counts its views."""

import pytest
import torch
from torch import nn

from audit.attacks.aggregate import aggregate
from audit.capture import Capture
from audit.defences import clip, gaussian
from reports.model import Effort, Severity, Status, Strength

SUMS = {"visibility": "aggregate", "server_trust": "honest-but-curious"}


def as_summed(sums, _rng):
    return sums


def noised(sums, rng):
    return gaussian(sums, 1.0, rng)


def clipped(update, _rng):
    return clip(update, 1.0)


def with_noise(**keys):
    return {**SUMS, "differential_privacy": {"noise_multiplier": 1.0, "clipping_norm": 1.0, **keys}}


def test_a_sum_of_a_few_clients_gives_records_away(planted, ask) -> None:
    asked = ask(aggregate, planted(clients=8, rounds=8, federation=SUMS, aggregates=as_summed))
    assert asked.finding.status is Status.FAIL
    assert asked.value("effective_clients") == 8
    assert asked.value("identifiability") > 0.7


def test_the_noised_sum_passes_as_a_screening_that_counts_its_views(planted, ask) -> None:
    federation = with_noise(noise_added_by="clients", epsilon=9.0, delta=1e-2)
    folder = planted(clients=16, rounds=6, federation=federation, aggregates=noised, defend=clipped, kind="delta")
    asked = ask(aggregate, folder)
    assert (asked.finding.status, asked.finding.strength) == (Status.PASS, Strength.SCREENING), asked.finding.summary
    assert "6 views" in asked.finding.summary
    assert asked.value("control_identifiability") == 1.0


def test_a_server_that_is_to_add_the_noise_sees_the_sum_without_it(planted, ask) -> None:
    folder = planted(clients=8, rounds=8, federation=with_noise(noise_added_by="server"), aggregates=noised)
    finding = ask(aggregate, folder).finding
    assert finding.status is Status.FAIL
    assert any("without it" in line for line in finding.limitations)


def test_a_trusted_server_s_noised_sum_is_what_others_see(planted, ask) -> None:
    federation = {**with_noise(noise_added_by="server"), "server_trust": "trusted"}
    folder = planted(clients=8, rounds=8, federation=federation, aggregates=noised, defend=clipped)
    assert ask(aggregate, folder).finding.status is Status.PASS


def test_a_sum_that_is_not_on_record_cannot_be_judged(tmp_path, planted, ask, perceptron, digits) -> None:
    model = perceptron()
    with Capture(tmp_path / "only", model, name="only", federation=with_noise(noise_added_by="server")) as capture:
        total = {name: torch.randn_like(p) for name, p in model.named_parameters()}
        capture.record_aggregate(total, clients=4, round=1, batch=(digits.x[:4], digits.y[:4]))
    finding = ask(aggregate, tmp_path / "only").finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "no-usable-record")
    assert "before its own noise" in finding.summary


def test_updates_recorded_before_their_noise_cannot_accuse(planted, ask) -> None:
    finding = ask(aggregate, planted(clients=8, rounds=8, federation=with_noise(noise_added_by="clients"))).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "undecided")
    assert finding.remedy.value == "aggregate"
    assert "is not recorded" in finding.summary


def test_silent_clients_hide_nobody(planted, ask) -> None:
    calls = iter(range(1000))

    def only_the_first_of_four(update, _rng):
        return update if next(calls) % 4 == 0 else {name: 0 * value for name, value in update.items()}

    folder = planted(clients=4, rounds=20, federation=SUMS, defend=only_the_first_of_four, aggregates=as_summed)
    asked = ask(aggregate, folder)
    assert (asked.finding.status, asked.finding.severity) == (Status.FAIL, Severity.CRITICAL)
    assert asked.value("effective_clients") == 1
    assert asked.value("identifiability") == 1.0
    assert [one.n for one in asked.finding.measurements if one.name == "identifiability"] == [20]


def test_recorded_sums_are_read_beside_single_updates(planted, ask) -> None:
    folder = planted(clients=4, rounds=3, federation={"visibility": "update"}, aggregates=as_summed)
    assert ask(aggregate, folder).finding.status is Status.FAIL


def test_a_dead_model_is_inconclusive(planted, ask, perceptron) -> None:
    folder = planted(clients=8, rounds=8, federation=SUMS, aggregates=as_summed, model=perceptron(dead=True))
    finding = ask(aggregate, folder).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "control-failed")


def sigmoid_network() -> nn.Sequential:
    """One convolution and a sigmoid, with the uniform weights of the DLG paper."""
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.Sigmoid(), nn.Flatten(), nn.Linear(64, 10)
    model = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), *layers)
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    return model


def test_a_sum_behind_convolutions_is_searched_jointly(planted, ask) -> None:
    folder = planted(
        clients=2, rounds=4, model=sigmoid_network(), reference=300, aggregates=as_summed, federation=SUMS
    )  # fmt: skip
    asked = ask(aggregate, folder)
    assert asked.value("identifiability") >= 0.7
    assert "gradient matching (joint records)" in asked.finding.detail
    assert asked.value("effective_clients") == 2


@pytest.mark.slow
@pytest.mark.parametrize(("defend", "status"), [(as_summed, Status.FAIL), (noised, Status.PASS)])
def test_from_standard_on_both_readings_of_a_sum_come_to_one_verdict(planted, ask, defend, status: Status) -> None:
    folder = planted(clients=16, rounds=6, reference=900, defend=clipped, aggregates=defend, federation=SUMS)
    finding = ask(aggregate, folder, effort=Effort.STANDARD).finding
    assert finding.status is status, finding.summary
    assert "Reading by ratio" in finding.detail
    assert "Reading by gradient matching" in finding.detail
