"""What the checks on a delivered model say of made-up ones: each answer with figures, pictures and a reason."""

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reports.check import Check, Context, Options, discover
from reports.consistency import RULES
from reports.drawing import shortened
from reports.model import (
    Artifact,
    Confidentiality,
    Effort,
    ErasureRequest,
    Evidence,
    Finding,
    Severity,
    Status,
    Strength,
    System,
    evidence_path,
)
from reports.plot import parse_plot
from tests.unlearning.verification.made_up import World, answers
from unlearning.federated.checks.method import method
from unlearning.federated.checks.over_forgetting import over_forgetting
from unlearning.federated.checks.residual import residual
from unlearning.federated.checks.screening import backdoor, screening
from unlearning.federated.checks.utility import utility
from unlearning.federated.checks.verified import CONTROLS
from unlearning.federated.delivered import Delivered
from unlearning.federated.methods import method as method_named
from unlearning.federated.request import Split
from unlearning.federated.schedule import Rounds
from unlearning.verification import evidence as gathered
from unlearning.verification.suite import VerificationReport

CHECKS = (residual, method, screening, backdoor, over_forgetting, utility)


def artifact(name: str) -> Artifact:
    return Artifact(path=name, sha256="0" * 64, size=1, kind="unlearning")


FILES = {name: artifact(name) for name in ("before", "after", "forget", "retain", "twin", "transcript")}


@dataclass
class Drawer:
    """Keeps evidence in memory."""

    data: dict[str, bytes] = field(default_factory=dict)

    def put_evidence(self, data: bytes, media_type: str, confidentiality: Confidentiality, name: str) -> Evidence:
        from hashlib import sha256

        digest = sha256(data).hexdigest()
        self.data[digest] = data
        return Evidence(
            sha256=digest, path=evidence_path(digest), size=len(data), media_type=media_type,
            confidentiality=confidentiality, name=name,
        )  # fmt: skip


@dataclass
class Asked:
    """Findings, and the plots that they cite."""

    findings: list[Finding]
    drawer: Drawer

    @property
    def finding(self) -> Finding:
        (only,) = self.findings
        return only

    @property
    def plots(self) -> list[Any]:
        return [parse_plot(self.drawer.data[cited]) for cited in self.finding.evidence]


def ask(
    check: Check, report: VerificationReport | None = None, *, effort: Effort = Effort.STANDARD, options: Any = None,
    delivered: Delivered | None = None, **declared: Any,
) -> Asked:  # fmt: skip
    """Put a check to a system whose request has already been verified."""
    request = ErasureRequest.model_validate({"id": "r1", "kind": "client", "method": "ffum", **FILES, **declared})
    system = System(name="tried", version="1", unlearning=(request,), source=artifact("system.toml"))
    shared: dict[str, object] = {"unlearning/r1/delivered": delivered or made_delivered(request)}
    if report is not None:
        shared["unlearning/r1/report"] = report
    drawer = Drawer()
    context = Context(
        check, system, 7, effort, Path(), datetime(2026, 11, 21, tzinfo=UTC), drawer,
        options=options or Options(), shared=shared,
    )  # fmt: skip
    return Asked(list(check.ask(system, context)), drawer)


def made_delivered(request: ErasureRequest, **changed: Any) -> Delivered:
    """What was delivered, as far as a check looks at it before the verification does."""
    import torch
    from torch import nn

    from unlearning.federated.data import ClientData, FederatedData, SimulatedFederation
    from unlearning.federated.recipe import TrainingRecipe

    some = ClientData(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64))
    recipe = TrainingRecipe(rounds=1, batch_size=1, learning_rate=0.1)
    return replace(
        Delivered(
            request, federation=SimulatedFederation(FederatedData((some, some), some), recipe, nn.Identity),
            split=Split({0: some}, (some,), {}), forget=some, test=some, probes=some, module=nn.Identity(),
            method=method_named("ffum"),
        ),
        **changed,
    )  # fmt: skip


def world(**changed: Any) -> VerificationReport:
    return World().report(**changed)


def broken_rules(finding: Finding) -> list[str]:
    """What `reports.consistency` would hold against a report with this finding."""
    alone: Any = type("Alone", (), {"findings": (finding,)})
    judging = [rule for rule in RULES if "passes" in rule.__name__]
    assert len(judging) == 2
    return [told for rule in judging for told in rule(alone)]


def figures(finding: Finding) -> dict[str, float]:
    return {one.name: one.value for one in finding.measurements}


def test_an_honest_model_passes_with_everything_a_reader_needs_to_doubt_it() -> None:
    asked = ask(residual, world())
    finding = asked.finding
    assert (finding.status, finding.strength, finding.key) == (Status.PASS, Strength.STATISTICAL, "unlearning=r1")
    assert finding.controls == CONTROLS
    assert "at most" in finding.summary  # the upper end of what may be left is always said
    assert "rejects 100% of models that did see the data" in finding.summary
    assert finding.detail.startswith("Grade A:")
    share, p_value, power = finding.measurements
    assert (share.name, p_value.name, power.name) == ("residual_influence_share", "rank_p_value", "rank_power")
    assert share.interval is not None
    assert (share.n, share.control) == (64, pytest.approx(1.0))
    assert not broken_rules(finding)
    between, spread = asked.plots
    labels = [row.label for row in between.rows]
    assert labels == ["delivered model", "64 retrained (floor)", "64 originals (control)", "model before"]
    assert between.rows[1].value == 0.0  # the shares are centred on them: not 6.5e-18
    assert all(shortened(label, 176) == label for label in labels)  # what the drawing has room for
    assert sum(spread.samples[0].counts) == sum(spread.samples[1].counts) == 64


def test_a_model_that_remembers_fails_gravely_and_is_told_the_mend() -> None:
    finding = ask(residual, world(delivered=1.0)).finding
    assert (finding.status, finding.severity) == (Status.FAIL, Severity.HIGH)
    assert "still speaks" in finding.summary
    assert finding.remedy is not None
    assert finding.remedy.value == "rapid-retrain"


def test_over_forgetting_is_less_grave_and_named() -> None:
    finding = ask(residual, world(delivered=-1.0)).finding
    assert (finding.status, finding.severity) == (Status.FAIL, Severity.MEDIUM)
    assert "pushed beyond" in finding.summary


def test_a_replay_to_the_byte_passes_and_holds_the_statistics_to_no_limit() -> None:
    replayed = VerificationReport(World(trace=0.0).evidence(), replayed=lambda: True)
    finding = ask(residual, replayed).finding
    assert (finding.status, finding.strength) == (Status.PASS, Strength.EXACT)
    assert all(one.threshold is None for one in finding.measurements)
    assert not broken_rules(finding)


LONGER = gathered.Reference("matched", 64, rounds=Rounds(train=7), delivered_rounds=Rounds(train=11))
OWNERS = gathered.Reference("supplied", 64, "owner")
COPIES = gathered.Reference("supplied", 1, "owner", dropped=("o2.safetensors: equal to the delivered model",))
STRICT = gathered.Reference("strict", 64)
ALONE = gathered.Reference("none", 0)


@pytest.mark.parametrize(
    ("changed", "reason", "said"),
    [
        ({"models": 4}, "budget", "an exact test at 0.05 needs 19 oracles"),
        ({"models": 32}, "budget", "too few for a pass, which needs 64"),
        ({"reference": LONGER}, "length-mismatch", "has 11 train rounds behind it"),
        ({"reference": OWNERS, "originals": None}, "supplied-oracles", "oracles of the owner's"),
        ({"reference": COPIES, "models": 2, "originals": None}, "oracles-not-independent", "copies"),
        ({"reference": STRICT}, "unknown-method", "not known here"),
        ({"reference": ALONE, "references": None}, "missing:oracles", "no retrained models"),
    ],
)
def test_every_doubt_has_its_word_and_its_sentence(changed: dict[str, Any], reason: str, said: str) -> None:
    finding = ask(residual, world(**changed)).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, reason)
    assert said in finding.summary
    assert (finding.remedy is not None) is (reason == "budget")


def test_no_influence_prints_what_the_test_would_have_seen() -> None:
    finding = ask(residual, World(trace=0.0).report()).finding
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "no-influence")
    assert "no influence to forget that could be measured" in finding.summary
    assert figures(finding)["rank_power"] < 0.2


def test_copies_are_named_in_the_limitations() -> None:
    finding = ask(residual, world(reference=COPIES, models=2, originals=None)).finding
    assert any("o2.safetensors: equal to the delivered model" in one for one in finding.limitations)


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exchange and resample models thirty times, not two hundred: what is tried is the rule."""
    monkeypatch.setattr("unlearning.verification.likelihood_ratio.EXCHANGES", 30)
    monkeypatch.setattr("unlearning.verification.likelihood_ratio.RESAMPLES", 30)


def few(**made: Any) -> VerificationReport:
    from unlearning.verification.thresholds import Thresholds

    return VerificationReport(World(examples=24).evidence(models=24, **made), Thresholds(least_oracles=24))


@pytest.mark.usefixtures("few_draws")
def test_a_method_is_told_with_its_control_and_its_original_drawn_beside_it() -> None:
    asked = ask(method, few(method=0.0))
    assert asked.finding.status is Status.PASS, asked.finding.summary
    assert not broken_rules(asked.finding)
    bars, curves = asked.plots
    assert len(bars.rows) == len(curves.series) == 3
    found = figures(asked.finding)
    assert found["u_lira_original_auc"] > 0.65
    failed = ask(method, few(method=1.0)).finding
    assert failed.status is Status.FAIL
    assert "still known" in failed.summary
    assert failed.remedy is not None


@pytest.mark.usefixtures("few_draws")
def test_a_method_is_not_asked_about_at_smoke_or_where_it_is_not_known() -> None:
    at_smoke = ask(method, effort=Effort.SMOKE).finding
    assert (at_smoke.status, at_smoke.reason) == (Status.SKIPPED, "budget")
    by_hand = ask(method, few(method=0.0), effort=Effort.SMOKE, options=Options(oracles=24)).finding
    assert by_hand.status is Status.PASS
    request = ErasureRequest.model_validate({"id": "r1", "kind": "client", **FILES})
    unknown = ask(method, delivered=made_delivered(request, method=None)).finding
    assert (unknown.status, unknown.reason) == (Status.SKIPPED, "unknown-method")
    without = ask(method, delivered=made_delivered(request, federation=None)).finding
    assert (without.status, without.reason) == (Status.SKIPPED, "missing:recipe")


def test_screening_names_the_floor_and_never_passes() -> None:
    near, off = ask(screening, world()), ask(screening, world(delivered=1.0))
    assert near.finding.reason == "screening-only"
    assert off.finding.status is Status.FAIL
    for asked in (near, off):
        for plot in asked.plots:
            assert plot.rows[-1].label.endswith("(floor)")
        assert asked.finding.strength is Strength.SCREENING
    assert ask(screening, World(trace=0.0).report()).finding.reason == "no-influence"
    assert ask(screening, world(reference=ALONE, references=None)).finding.reason == "budget"


def probed(rate: float) -> VerificationReport:
    import numpy as np

    made = World()

    def asked(scores: Any, hit: float) -> Any:
        return answers(scores, probes=np.tile(np.where(np.arange(40) < hit * 40, 1.0, -1.0), (len(scores), 1)))

    return made.report(
        after=asked(made.scores(1, 1), rate), before=asked(made.scores(2, 1, 1.0), 0.5),
        references=asked(made.scores(3, 64), 0.025),
    )  # fmt: skip


def test_a_trigger_that_works_fails_and_one_that_does_not_is_no_proof() -> None:
    works = ask(backdoor, probed(0.5))
    assert works.finding.status is Status.FAIL
    (plot,) = works.plots
    assert plot.rows[0].control == 0.5
    gone = ask(backdoor, probed(0.0)).finding
    assert (gone.status, gone.reason) == (Status.INCONCLUSIVE, "screening-only")
    assert figures(gone)["miss_probability"] < 0.05
    request = ErasureRequest.model_validate({"id": "r1", "kind": "client", **FILES})
    none = ask(backdoor, delivered=made_delivered(request, probes=None)).finding
    assert (none.status, none.reason) == (Status.SKIPPED, "missing:probes")


def test_an_overshoot_fails_and_none_passes_where_it_would_have_been_seen() -> None:
    fine, beyond = ask(over_forgetting, world()), ask(over_forgetting, world(delivered=-1.0))
    assert fine.finding.status is Status.PASS
    assert not broken_rules(fine.finding)
    assert beyond.finding.status is Status.FAIL
    assert any("twin has other labels" in one for one in fine.finding.limitations)
    blind = ask(over_forgetting, World(trace=0.45).report()).finding
    assert (blind.status, blind.reason) == (Status.INCONCLUSIVE, "no-power")


def accurate(share: float) -> VerificationReport:
    import numpy as np

    made = World()

    def asked(scores: Any, accuracy: float, purpose: int) -> Any:
        right = np.where(np.random.default_rng(purpose).random((len(scores), 2000)) < accuracy, 1.0, -1.0)
        return answers(scores, test=right, retain=right)

    return made.report(
        after=asked(made.scores(1, 1), share, 1), references=asked(made.scores(3, 64), 0.9, 2),
        untrained=asked(made.scores(7, 1), 0.1, 3),
    )  # fmt: skip


def test_utility_is_held_to_retrained_models_and_tells_tow() -> None:
    kept, lost = ask(utility, accurate(0.9)), ask(utility, accurate(0.8))
    assert kept.finding.status is Status.PASS
    assert not broken_rules(kept.finding)
    assert {"test_accuracy_gap", "retained_accuracy_gap", "forgotten_accuracy_gap", "tug_of_war"} == set(
        figures(kept.finding)
    )
    assert lost.finding.status is Status.FAIL
    assert lost.finding.remedy is not None


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_request_to_a_language_model_and_one_without_files_are_not_asked(check: Check) -> None:
    llm = ask(check, kind="llm").finding
    assert (llm.status, llm.reason) == (Status.SKIPPED, "not-applicable:kind-llm")
    bare = ask(check, after=None).finding
    assert (bare.status, bare.reason) == (Status.SKIPPED, "missing:unlearning.after")


@pytest.mark.parametrize("check", [residual, screening, over_forgetting, utility], ids=lambda check: check.id)
def test_a_model_that_cannot_be_built_is_not_verified(check: Check) -> None:
    request = ErasureRequest.model_validate({"id": "r1", "kind": "client", **FILES})
    finding = ask(check, delivered=made_delivered(request, module=None)).finding
    assert (finding.status, finding.reason) == (Status.SKIPPED, "missing:model.layers")


def test_the_checks_are_found_by_the_houses_door() -> None:
    found = {check.id for check in discover()}
    assert {check.id for check in CHECKS} <= found


def test_plots_hold_no_number_that_json_cannot() -> None:
    asked = ask(residual, world(delivered=1.0))
    for data in asked.drawer.data.values():
        json.loads(data, parse_constant=pytest.fail)
