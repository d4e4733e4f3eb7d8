"""Declarations, canaries, Opacus' records and classifiers are built with what the flaw's title says, and else alike."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.dp.accounting import recompute
from audit.dp.gaussian import gdp_epsilon
from audit.selftest import canaries, opacus_records
from audit.selftest.accuracies import numbered_classifier, released_classifier
from audit.selftest.declarations import drawn_mechanism, subtle_mechanism
from audit.selftest.opacus_records import Training, opacus_record
from audit.selftest.workshop import Workshop
from audit.selftest.zoo import chosen
from audit.system_folder import SystemFolder

Written = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Build in a new folder and return it."""

    def build(builder: Callable[..., object], seed: int = 5, **keys: Any) -> Path:
        folder = tmp_path / f"system-{len(list(tmp_path.iterdir()))}"
        with SystemFolder(folder) as files:
            builder(Workshop(files, seed), **keys)
        return folder

    return build


def declared(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "system.toml").read_text(encoding="utf-8"))


def differing(written: Written, flaw: str) -> set[str]:
    """Return the keys in which the system files of a flaw and its twin differ."""
    [one] = chosen([flaw])
    flat = [dict(leaves(declared(written(one.build, planted=planted)))) for planted in (True, False)]
    assert flat[0].keys() == flat[1].keys()
    return {key for key in flat[0] if flat[0][key] != flat[1][key]}


def leaves(table: dict[str, Any], path: str = "") -> Any:
    for key, value in table.items():
        yield from leaves(value, f"{path}{key}.") if isinstance(value, dict) else [(f"{path}{key}", value)]


@pytest.mark.parametrize(
    ("flaw", "keys"),
    [
        ("dp-claim-at-smaller-delta", {"claims.delta"}),
        ("dp-claim-without-noise", {"federation.differential_privacy.noise_multiplier"}),
        (
            "dp-delta-too-large",
            {"federation.differential_privacy.delta", "federation.differential_privacy.epsilon"},
        ),
        (
            "dp-rounds-uncounted",
            {"federation.differential_privacy.steps", "federation.differential_privacy.epsilon"},
        ),
        (
            "dp-rate-understated",
            {"federation.differential_privacy.sampling_rate", "federation.differential_privacy.epsilon"},
        ),
        ("dp-second-claim-understated", {"federation.differential_privacy.epsilon"}),
        pytest.param("dp-example-sold-as-client", {"federation.differential_privacy.unit"}, marks=pytest.mark.slow),
        pytest.param(
            "dp-poisson-claim-on-shuffling", {"federation.differential_privacy.sampling"}, marks=pytest.mark.slow
        ),
        pytest.param("dp-epsilon-understated", {"federation.differential_privacy.epsilon"}, marks=pytest.mark.slow),
        pytest.param(
            "dp-gdp-accountant",
            {"federation.differential_privacy.epsilon", "federation.differential_privacy.accountant"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_papers_of_flaw_and_twin_differ_in_what_the_title_says(written: Written, flaw: str, keys: set[str]) -> None:
    assert differing(written, flaw) == keys


def test_drawn_mechanisms_fit_their_federation_and_differ_by_seed(tmp_path: Path) -> None:
    seen = set()
    for seed in range(50):
        for draw in (drawn_mechanism, subtle_mechanism):
            mechanism, federation = draw(Workshop(SystemFolder(tmp_path / "none"), seed))
            assert mechanism.sampling_rate == federation["clients_per_round"] / federation["clients"]
            assert mechanism.steps == federation["rounds"]
            assert (mechanism.delta or 1) * federation["clients"] < 1
            seen.add((mechanism.noise_multiplier, mechanism.steps, mechanism.sampling_rate))
    assert len(seen) > 90


@pytest.mark.slow
def test_the_central_limit_errs_by_more_than_the_rule_forgives_wherever_it_is_planted(tmp_path: Path) -> None:
    for seed in range(10):
        found = recompute(subtle_mechanism(Workshop(SystemFolder(tmp_path / "none"), seed))[0])
        assert found.gdp is not None
        assert found.gdp < 0.97 * found.lower


def test_canaries_score_by_the_noise_that_was_added(written: Written) -> None:
    """Both groups' deviation is that of the noise, three rounds of it; a sum without noise parts them."""
    for noise in (1.0, 0.25):
        with np.load(written(canaries.canary_scores, noise=noise) / "scores/canaries.npz") as file:
            score, included = file["score"], file["included"]
            assert len(score) == canaries.canaries() == len(file["control_score"])
            expected = np.hypot(3.0 * noise * np.sqrt(3), 0.6)  # beside it, what canaries answer for one another
            within = np.sqrt((score[included].var() + score[~included].var()) / 2)
            assert within == pytest.approx(expected, rel=0.15)
            assert score[included].mean() - score[~included].mean() == pytest.approx(3, abs=5 * expected / 11)
            apart = file["control_score"][file["control_included"]].min()
            assert apart > np.quantile(file["control_score"][~file["control_included"]], 0.99)


def test_the_canaries_claim_covers_the_closed_form() -> None:
    exact = gdp_epsilon(np.sqrt(3) / 3, 1e-3)
    assert exact < canaries.accounted() < 1.25 * exact


@pytest.mark.slow
@pytest.mark.parametrize(
    ("training", "changed"),
    [
        (Training(engine={"poisson_sampling": False}), {"poisson_sampling": False}),
        (Training(batch_norm=True), {"modules": ["BatchNorm1d", "Linear", "ReLU"]}),
        (Training(engine={"noise_multiplier": 0.77}), {"history": [[0.77, 0.1, 20]]}),
        (Training(engine={"max_grad_norm": 2.0}), {"max_grad_norm": 2.0}),
        (Training(epochs=3), {"history": [[1.1, 0.1, 30]]}),
        (Training(epochs=4, batch_size=48), {"history": [[1.1, 0.2, 20]], "expected_batch_size": 48}),
    ],
)
def test_opacus_records_differ_in_the_one_setting(written: Written, training: Training, changed: Any) -> None:
    sound, flawed = (
        json.loads((written(opacus_record, training=one) / "dp-record.json").read_bytes())
        for one in (opacus_records.AS_DECLARED, training)
    )
    assert {key: flawed[key] for key in flawed if flawed[key] != sound[key]} == changed


def test_opacus_leaves_torchs_global_stream_alone(written: Written) -> None:
    import torch

    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    written(opacus_record)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_accuracy_is_claimed_of_training_records_or_of_others(written: Written) -> None:
    taught, others = (
        declared(written(released_classifier, judged_on=judged))["claims"]["accuracy"]
        for judged in ("training", "others")
    )
    assert taught == pytest.approx(0.005 ** (1 / 120))  # all right: Clopper-Pearson's closed form at 99 %
    assert others < 0.93


def test_outputs_are_moved_by_one_label_and_are_no_others(written: Written) -> None:
    from safetensors.numpy import load_file

    plain, moved = (load_file(written(numbered_classifier, shift=shift) / "model.safetensors") for shift in (0, 1))
    for name, values in plain.items():
        expected = np.roll(values, 1, axis=0) if name.startswith("2.") else values
        np.testing.assert_array_equal(moved[name], expected)
