"""Two calls of Python: forget, and verify; loaded late, and the same as the folders' way."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import unlearning.federated as package
from reports.model import Status
from unlearning.errors import UnlearningError
from unlearning.federated import SimulatedFederation, Unlearned, UnlearningRequest, unlearn, verify
from unlearning.federated.erasure import Erasure, carry_out, train_first
from unlearning.federated.methods import method
from unlearning.federated.transcript import read_transcript


@pytest.fixture(scope="module")
def federation(scenes: Any) -> SimulatedFederation:
    return scenes.federation()


@pytest.fixture(scope="module")
def retrained(federation: SimulatedFederation) -> Unlearned:
    return unlearn(federation, "client:0", "rapid-retrain", 5)


def test_it_is_what_the_folders_way_gives(federation: SimulatedFederation, tmp_path: Path) -> None:
    asked = UnlearningRequest.sample({2: [1, 3]})
    found = unlearn(federation, asked, "finetune", 5, rounds=2)
    before, history = train_first(federation)
    outcome = carry_out(Erasure(federation, asked, method("finetune", rounds=2), before, 5, history), tmp_path)
    assert found.outcome.after_sha256 == outcome.after_sha256
    assert found.transcript == read_transcript(tmp_path / "transcript.jsonl")
    assert len(found.transcript.rounds) == 2


def test_an_honest_retraining_is_shown_to_be_exact(federation: SimulatedFederation, retrained: Unlearned) -> None:
    report = verify(federation, retrained, models=4, seed=3)
    assert (report.residual.grade, report.residual.outcome.status) == ("A+", Status.PASS)
    assert report.evidence.reference.models == 4
    assert not report.evidence.reference.length_differs


def test_doing_nothing_is_never_exact(federation: SimulatedFederation) -> None:
    report = verify(federation, unlearn(federation, "client:0", "no-op"), models=4, seed=3)
    assert report.residual.grade != "A+"
    assert report.residual.outcome.status is not Status.PASS


def test_the_verification_is_of_the_federation_that_the_auditor_has(
    federation: SimulatedFederation, retrained: Unlearned, scenes: Any
) -> None:
    """Retained data of the auditor's own: run again on it, the method gives other bytes."""
    own = scenes.federation(5, 3, 6, 3)
    assert verify(own, retrained, models=3).residual.grade == "B"


def test_what_is_wrong_with_a_request_is_told_before_anything_is_trained(scenes: Any) -> None:
    never = scenes.federation(rounds=10**9)
    for request, name, parameters in (
        ("client:9", "ffum", {}),
        ("client:0", "magic", {}),
        ("client:0", "ffum", {"a": 1}),
    ):
        with pytest.raises(UnlearningError):
            unlearn(never, request, name, **parameters)


def test_both_are_loaded_when_they_are_asked_for_and_no_other_name_is() -> None:
    script = (
        "import sys, json, unlearning.federated as package\n"
        "early = 'unlearning.verification' in sys.modules\n"
        "package.verify\n"
        "print(json.dumps([early, 'unlearning.verification' in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [False, True]
    assert all(hasattr(package, name) for name in package.__all__)
    with pytest.raises(AttributeError, match="'forget'"):
        package.forget  # noqa: B018  the look is what is tested


def test_torchs_own_stream_and_threads_are_let_alone(federation: SimulatedFederation) -> None:
    threads, stream = torch.get_num_threads(), torch.get_rng_state()
    unlearn(federation, "client:0", "rapid-retrain")
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), stream)
