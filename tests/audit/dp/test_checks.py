"""`dp.accounting`: a true claim passes, every way of stretching it fails, and half a declaration decides nothing."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit.dp.accounting import recompute
from audit.dp.checks import accounting
from audit.dp.claim import answer, claims_of
from audit.dp.gaussian import gdp_epsilon
from reports.check import Context, missing
from reports.model import (
    Artifact,
    Claims,
    Confidentiality,
    DifferentialPrivacy,
    Effort,
    Evidence,
    Federation,
    Finding,
    Status,
    System,
    evidence_path,
)


class Drawer:
    """Keeps evidence in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put_evidence(self, data: bytes, media_type: str, confidentiality: Confidentiality, name: str) -> Evidence:
        sha256 = hashlib.sha256(data).hexdigest()
        self.kept[sha256] = data
        return Evidence(
            sha256=sha256,
            path=evidence_path(sha256),
            size=len(data),
            media_type=media_type,
            confidentiality=confidentiality,
            name=name,
        )


SOUND: dict[str, Any] = {"unit": "client", "noise_multiplier": 1.5, "sampling": "full", "steps": 16, "delta": 1e-2}
POISSON: dict[str, Any] = {**SOUND, "sampling": "poisson", "sampling_rate": 0.5}
TRUE = recompute(DifferentialPrivacy(**SOUND))
SAMPLED = recompute(DifferentialPrivacy(**POISSON))
SOURCE = Artifact(path="system.toml", sha256="0" * 64, size=1, kind="source")


def system(claims: dict[str, Any] | None = None, federation: dict[str, Any] | None = None, **declared: Any) -> System:
    return System(
        name="ward-triage",
        version="1",
        source=SOURCE,
        claims=Claims(**claims) if claims else None,
        federation=Federation(
            **{"clients": 24, "clients_per_round": 12, "rounds": 16, **(federation or {})},
            differential_privacy=DifferentialPrivacy(**{**SOUND, **declared}),
        ),
    )


def ask(subject: System, folder: Path = Path()) -> tuple[Finding, Drawer]:
    drawer = Drawer()
    context = Context(
        check=accounting,
        system=subject,
        seed=7,
        effort=Effort.SMOKE,
        folder=folder,
        now=datetime(2026, 11, 21, tzinfo=UTC),
        store=drawer,
    )
    [finding] = accounting.ask(subject, context)
    return finding, drawer


def test_a_true_claim_passes_with_its_bounds() -> None:
    finding, drawer = ask(system(**POISSON, epsilon=SAMPLED.claimable))
    assert finding.status is Status.PASS
    assert (finding.strength, finding.basis, finding.severity) == ("exact", "declared", "high")
    figures = {m.name: m for m in finding.measurements}
    accounted = figures["epsilon_accounted"]
    assert accounted.value == SAMPLED.estimate
    assert accounted.interval is not None
    assert (accounted.interval.low, accounted.interval.high) == (SAMPLED.lower, SAMPLED.upper)
    assert accounted.threshold is not None
    assert accounted.threshold.limit == SAMPLED.claimable == figures["epsilon_claimed"].value
    assert figures["epsilon_rdp"].value > accounted.value
    assert "epsilon_gdp" in figures
    assert "refutes a claim" in finding.detail
    assert finding.remedy is None
    [plot] = [json.loads(drawer.kept[sha256]) for sha256 in finding.evidence]
    assert plot["kind"] == "intervals"
    assert [row["label"] for row in plot["rows"]][-1] == "claimed"


@pytest.mark.parametrize("share", [0.5, 0.8, 0.98])
def test_an_understated_epsilon_fails_and_the_remedy_mends_it(share: float) -> None:
    finding, _ = ask(system(epsilon=TRUE.lower * share))
    assert finding.status is Status.FAIL
    assert finding.remedy is not None
    assert (finding.remedy.parameter, finding.remedy.direction) == (
        "federation.differential_privacy.epsilon",
        "raise",
    )
    mended, _ = ask(system(epsilon=float(finding.remedy.value or 0)))
    assert mended.status is Status.PASS


def test_a_claim_within_the_margin_of_error_is_undecided() -> None:
    finding, _ = ask(system(**POISSON, epsilon=(SAMPLED.estimate + SAMPLED.upper) / 2))
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "undecided")


@pytest.mark.parametrize(("noise", "direction"), [(None, "add"), (0.0, "raise")])
@pytest.mark.parametrize("delta", [1e-2, None])
def test_a_claim_without_noise_is_refuted(noise: float | None, direction: str, delta: float | None) -> None:
    finding, _ = ask(system(noise_multiplier=noise, epsilon=1.0, delta=delta, sampling=None))
    assert finding.status is Status.FAIL
    assert finding.remedy is not None
    assert finding.remedy.direction == direction
    assert "no finite epsilon" in finding.summary


def test_a_claim_from_the_central_limit_fails() -> None:
    declared = {
        **POISSON,
        "unit": "example",
        "noise_multiplier": 0.5,
        "sampling_rate": 0.01,
        "steps": 1000,
        "delta": 1e-5,
    }
    gdp = recompute(DifferentialPrivacy(**declared)).gdp
    assert ask(system(**declared, epsilon=gdp))[0].status is Status.FAIL
    assert ask(system(**declared, epsilon=13.4))[0].status is Status.PASS  # the sound twin, from the exact accountant


def test_a_poisson_claim_on_shuffling_fails() -> None:
    shuffled = {**POISSON, "sampling": "shuffle"}
    assert ask(system(**shuffled, epsilon=SAMPLED.claimable))[0].status is Status.FAIL
    safe = recompute(DifferentialPrivacy(**shuffled))
    finding, _ = ask(system(**shuffled, epsilon=safe.claimable))
    assert finding.status is Status.PASS
    assert any("No amplification" in said for said in finding.limitations)
    assert next(m for m in finding.measurements if m.name == "epsilon_accounted").interval is None


def test_example_level_privacy_sold_as_client_level_fails() -> None:
    declared: dict[str, Any] = {"unit": "example", "epsilon": TRUE.claimable}
    assert ask(system(**declared))[0].status is Status.PASS
    finding, _ = ask(system({"privacy_unit": "client", "epsilon": 1e6}, **declared))
    assert finding.status is Status.FAIL
    assert finding.remedy is not None
    assert finding.remedy.parameter.endswith(".unit")


def test_what_a_clients_examples_add_up_to_is_told_where_their_number_is_known(tmp_path: Path) -> None:
    (tmp_path / "dp.json").write_text(json.dumps({"dataset_size": 72}))  # three for each of 24 clients
    record = Artifact(path="dp.json", sha256="0" * 64, size=1, kind="federation.differential_privacy.record")
    declared: dict[str, Any] = {"unit": "example", "epsilon": TRUE.claimable, "record": record, "delta": 1e-3}
    finding, _ = ask(system({"privacy_unit": "client", "epsilon": 1e6}, **declared), tmp_path)
    assert finding.status is Status.FAIL
    whole = gdp_epsilon(3 * 4 / 1.5, 1e-3)  # 16 sums with noise multiplier 1.5
    assert f"A client of 3 examples, of whom there is one at least, has epsilon {whole:.4g}" in finding.detail
    assert "group privacy" not in ask(system(**declared), tmp_path)[0].detail


@pytest.mark.parametrize(
    ("federation", "declared"),
    [
        (
            {"clients_per_round": 18},
            {"sampling": "shuffle", "sampling_rate": 0.5},
        ),  # more clients take part than are accounted for
        ({"rounds": 40}, {}),  # and oftener
        ({"clients": 24}, {"delta": 1 / 24}),
    ],
)
def test_a_declaration_that_contradicts_its_federation_fails(
    federation: dict[str, Any], declared: dict[str, Any]
) -> None:
    finding, _ = ask(system(federation=federation, **{"epsilon": 1000.0, **declared}))
    assert finding.status is Status.FAIL
    assert finding.remedy is not None


def test_the_federation_fills_what_the_declaration_leaves_out() -> None:
    shuffled = recompute(DifferentialPrivacy(**{**POISSON, "sampling": "shuffle"}))
    bare = {"sampling": "shuffle", "sampling_rate": None, "steps": None}
    finding, _ = ask(system(**bare, epsilon=shuffled.claimable))  # type: ignore[arg-type]
    assert finding.status is Status.PASS
    assert any("as the federation" in said for said in finding.limitations)


def test_the_free_standing_claim_counts_and_neither_can_hide_behind_the_other() -> None:
    both = system({"epsilon": TRUE.claimable}, epsilon=TRUE.claimable)
    assert len(claims_of(both)) == 1
    assert ask(both)[0].status is Status.PASS
    assert ask(system({"epsilon": TRUE.claimable}))[0].status is Status.PASS
    assert ask(system({"epsilon": 1.0}, epsilon=TRUE.claimable))[0].status is Status.FAIL
    hidden, _ = ask(system({"epsilon": TRUE.claimable}, epsilon=1.0))
    assert hidden.status is Status.FAIL
    assert hidden.remedy is not None
    assert hidden.remedy.parameter == "federation.differential_privacy.epsilon"


def test_a_claim_at_another_delta_is_held_to_its_own() -> None:
    stricter = system({"epsilon": TRUE.claimable, "delta": 1e-6}, epsilon=None)
    assert ask(stricter)[0].status is Status.FAIL


def test_a_mechanism_without_a_claim_is_inconclusive_and_says_what_to_claim() -> None:
    finding, _ = ask(system())
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "missing:claims.epsilon")
    assert finding.remedy is not None
    assert finding.remedy.value == f"{TRUE.claimable:g}"
    assert finding.measurements[0].name == "epsilon_accounted"
    half, _ = ask(system(steps=None, federation={"rounds": None}))
    assert (half.status, half.measurements) == (Status.INCONCLUSIVE, ())


def test_neither_noise_nor_claim_is_skipped() -> None:
    finding, _ = ask(system(noise_multiplier=None))
    assert (finding.status, finding.reason) == (Status.SKIPPED, "not-applicable:nothing-claimed")


@pytest.mark.parametrize("key", ["sampling", "steps", "delta", "sampling_rate"])
def test_half_a_declaration_decides_nothing_and_names_the_rest(key: str) -> None:
    lonely: dict[str, Any] = {"rounds": None, "clients_per_round": None}
    finding, _ = ask(system(federation=lonely, **{**POISSON, key: None}, epsilon=1e6))
    assert finding.status is Status.INCONCLUSIVE
    assert finding.reason == f"missing:federation.differential_privacy.{key}"
    assert finding.remedy is not None
    assert finding.remedy.parameter.endswith(key)


def test_an_epsilon_that_protects_nobody_in_particular_earns_no_pass() -> None:
    finding, _ = ask(system(unit=None, epsilon=TRUE.claimable))
    assert (finding.status, finding.reason) == (
        Status.INCONCLUSIVE,
        "missing:federation.differential_privacy.unit",
    )
    assert ask(system(unit=None, epsilon=1.0))[0].status is Status.FAIL  # a false one is false for both


def test_no_pass_where_no_claim_could_have_been_refuted() -> None:
    # delta above what one draw of the unit can cost: epsilon is zero, and so is every bound
    weak = {**POISSON, "noise_multiplier": 5.0, "sampling_rate": 1e-4, "unit": "example", "steps": 1}
    finding, _ = ask(system(**weak, epsilon=1.0))
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "control-failed")


def test_the_rule_decides_by_the_bounds_alone() -> None:
    assert answer(SAMPLED.lower * 0.98, SAMPLED).status is Status.FAIL
    assert answer(SAMPLED.lower * 0.995, SAMPLED).reason == "undecided"
    assert answer(SAMPLED.upper, SAMPLED).status is Status.PASS
    assert answer(SAMPLED.upper * 0.9999, SAMPLED).reason == "undecided"


def test_delta_is_compared_with_the_size_that_the_trainers_record_gives(tmp_path: Path) -> None:
    record = Artifact(path="dp.json", sha256="0" * 64, size=1, kind="federation.differential_privacy.record")
    for size, expected in ((50, Status.PASS), (100, Status.FAIL)):  # delta is 1/100
        (tmp_path / "dp.json").write_text(json.dumps({"dataset_size": size}))
        assert ask(system(unit="example", record=record, epsilon=TRUE.claimable), tmp_path)[0].status is expected
    (tmp_path / "dp.json").write_text("[]")
    finding, _ = ask(system(unit="example", record=record, epsilon=TRUE.claimable), tmp_path)
    assert any("not compared with the number of examples" in said for said in finding.limitations)


def test_it_asks_nothing_of_a_system_without_the_section() -> None:
    assert missing(accounting, system()) == ()
    assert missing(accounting, System(name="a", version="1", source=SOURCE)) == ("federation.differential_privacy",)
