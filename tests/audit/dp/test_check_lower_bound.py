"""`dp.lower-bound`: too little noise fails, a pass takes control and power, and bad files are named."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from audit.dp.check_lower_bound import lower
from audit.dp.gaussian import gdp_mu
from audit.manifest import load_system
from reports.check import missing
from reports.errors import FedauditError, SystemFileError
from reports.model import Effort, Status

DELTA, CLAIM = 1e-5, 4.377
MECHANISM = {"unit": "client", "noise_multiplier": 1.0, "sampling": "full", "steps": 1, "delta": DELTA}


def scored(m: int, mu: float, seed: int = 1, **tails: Any) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    included = rng.random(m) < 0.5
    noise = rng.standard_t(tails["tails"], m) if tails else rng.normal(size=m)
    return {"score": noise + mu * included, "included": included}


def control(m: int, mu: float = 40.0, seed: int = 2) -> dict[str, Any]:
    return {f"control_{name}": values for name, values in scored(m, mu, seed).items()}


@pytest.fixture
def finding(ask: Callable[..., Any], folder: Callable[[], Any]) -> Callable[..., Any]:
    def put(claim: float | None = CLAIM, *, mechanism: Any = MECHANISM, **arrays: Any) -> Any:
        system = folder()
        system.scores(**arrays)
        system.privacy(**mechanism, **({} if claim is None else {"epsilon": claim}))
        return ask(lower, system.done())

    return put


def test_noise_as_claimed_passes_with_control_and_power(finding: Callable[..., Any]) -> None:
    asked = finding(**scored(1000, gdp_mu(CLAIM, DELTA)), **control(1000))
    found = asked.finding
    assert (found.status, found.reason, found.remedy) == (Status.PASS, "", None)
    assert (found.strength, found.basis, found.severity) == ("statistical", "recorded", "high")
    [bound] = [one for one in found.measurements if one.name == "epsilon_lower_bound"]
    assert bound.value == bound.interval.low < CLAIM < bound.interval.high
    assert (bound.n, bound.threshold.limit) == (1000, CLAIM)
    assert bound.control > 100 * CLAIM
    assert asked.value("power") > 0.99
    assert asked.value("epsilon_claimed") == CLAIM
    bar, histogram = (json.loads(asked.kept.data[digest]) for digest in found.evidence)
    assert [row["label"] for row in bar["rows"]] == ["claimed", "recomputed", "measured, at least"]
    assert {row["limit"] for row in bar["rows"]} == {CLAIM}
    assert bar["rows"][1]["value"] == pytest.approx(CLAIM, abs=1e-3)
    assert sum(sum(sample["counts"]) for sample in histogram["samples"]) == 1000


def test_a_quarter_of_the_noise_fails_whether_or_not_there_is_a_control(finding: Callable[..., Any]) -> None:
    arrays = scored(1000, 4 * gdp_mu(CLAIM, DELTA))
    for extra in ({}, control(1000), control(1000, mu=0.0)):
        found = finding(**arrays, **extra).finding
        assert found.status is Status.FAIL
        assert found.remedy.direction == "raise"
        assert float(found.remedy.value) > CLAIM
    mended = finding(float(found.remedy.value), **arrays).finding
    assert mended.status is not Status.FAIL


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({}, "missing:control_score"),
        (control(1000, mu=0.0), "control-failed"),  # canaries that even without noise tell nothing
        (control(1000, mu=0.5), "control-failed"),
    ],
)
def test_no_pass_without_a_control_that_succeeds(
    finding: Callable[..., Any], extra: dict[str, Any], reason: str
) -> None:
    found = finding(**scored(1000, gdp_mu(CLAIM, DELTA)), **extra).finding
    assert (found.status, found.reason) == (Status.INCONCLUSIVE, reason)
    assert found.remedy.parameter == "data.canary-scores"


def test_too_few_canaries_for_a_small_claim_are_counted(finding: Callable[..., Any]) -> None:
    claim = 0.5
    found = finding(claim, **scored(400, gdp_mu(claim, DELTA)), **control(400)).finding
    assert (found.status, found.reason) == (Status.INCONCLUSIVE, "too-few-records")
    needed = int(found.remedy.value)
    assert 1000 < needed < 2500
    assert finding(claim, **scored(needed, gdp_mu(claim, DELTA)), **control(needed)).finding.status is Status.PASS


def test_heavy_tails_can_be_refuted_by_guesses_and_are_never_passed_by_distance(finding: Callable[..., Any]) -> None:
    calm = finding(**scored(1000, 1.0, tails=3), **control(1000)).finding
    assert (calm.status, calm.reason) == (Status.INCONCLUSIVE, "too-few-records")
    assert "not normal" in calm.detail
    bare = finding(2.0, **scored(1000, 30.0, tails=3)).finding
    assert bare.status is Status.FAIL
    [bound] = [one for one in bare.measurements if one.name == "epsilon_lower_bound"]
    assert "one run" in bound.method
    assert bound.interval.high == 1000


def test_every_claim_is_held_against_the_bound(ask: Callable[..., Any], folder: Callable[[], Any]) -> None:
    system = folder()
    system.scores(**scored(1000, gdp_mu(CLAIM, DELTA)), **control(1000))
    system.privacy(**MECHANISM, epsilon=CLAIM)
    system.tables["claims"] = {"epsilon": 1.0}
    found = ask(lower, system.done()).finding
    assert found.status is Status.FAIL
    assert found.remedy.parameter == "claims.epsilon"


@pytest.mark.parametrize(("mechanism", "claim", "lacking"), [(MECHANISM, None, "claims.epsilon"), ({}, 2.0, "delta")])
def test_without_a_claim_there_is_nothing_to_refute(
    finding: Callable[..., Any], mechanism: Any, claim: float | None, lacking: str
) -> None:
    found = finding(claim, mechanism=mechanism, **scored(100, 1.0)).finding
    assert found.status is Status.INCONCLUSIVE
    assert found.reason.startswith("missing:")
    assert found.reason.endswith(lacking)


def test_two_files_give_two_findings(ask: Callable[..., Any], folder: Callable[[], Any]) -> None:
    system = folder()
    system.scores("first.npz", **scored(100, 1.0))
    system.scores("second.npz", **scored(100, 9.0))
    system.privacy(**MECHANISM, epsilon=CLAIM)
    findings = ask(lower, system.done(), effort=Effort.SMOKE).findings
    assert [(one.key, one.status) for one in findings] == [
        ("first.npz", Status.INCONCLUSIVE),
        ("second.npz", Status.FAIL),
    ]


GOOD = scored(100, 1.0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"included": np.ones(100, dtype=bool)}, "'included' is true throughout"),
        ({"included": np.zeros(100, dtype=bool)}, "'included' is false throughout"),
        ({"included": GOOD["included"].astype(int)}, "'included' is int64"),
        ({"included": GOOD["included"][:50]}, "'included' is bool of shape"),
        ({"score": GOOD["score"][:19], "included": GOOD["included"][:19]}, "'score' holds 19 canaries"),
        ({"score": GOOD["score"].reshape(50, 2)}, "'score' is float64 of shape"),
        ({"score": GOOD["score"].astype(str)}, "'score' is <U"),
        ({"score": np.where(GOOD["included"], np.nan, 0.0)}, "'score' holds NaN"),
        ({"control_score": GOOD["score"]}, "'control_score' without 'control_included'"),
        ({"control_score": GOOD["score"], "control_included": np.ones(100, dtype=bool)}, "'control_included' is true"),
    ],
)
def test_a_file_that_decides_nothing_is_refused_by_the_name_of_the_array(
    finding: Callable[..., Any], change: dict[str, Any], told: str
) -> None:
    with pytest.raises(SystemFileError, match=told) as caught:
        finding(**{**GOOD, **change})
    assert caught.value.exit_code == 2
    assert "data[0]: canaries.npz" in caught.value.message
    assert caught.value.hint


def test_a_file_without_an_array_is_refused(finding: Callable[..., Any]) -> None:
    with pytest.raises(FedauditError, match="lacks the array 'included'"):
        finding(score=GOOD["score"])


def test_it_is_asked_where_scores_are_declared_or_a_mechanism_could_be_rehearsed(
    ask: Callable[..., Any], folder: Callable[[], Any]
) -> None:
    mechanism, model = (
        "data.canary-scores|federation.differential_privacy",
        "data.canary-scores|model.layers|model.definition",
    )
    system = folder()
    assert missing(lower, load_system(system.done() / "system.toml").system) == (mechanism, model)
    system.privacy(**MECHANISM)
    assert missing(lower, load_system(system.done() / "system.toml").system) == (model,)
    system.scores(**GOOD)
    assert missing(lower, load_system(system.done() / "system.toml").system) == ()
