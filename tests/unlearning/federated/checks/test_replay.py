"""The check `unlearning.federated.replay`: what running an unlearning again comes to, in words and in a status."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from reports.artifacts import read_tensors
from reports.model import Effort, Status
from unlearning.federated.checks.replay import replay
from unlearning.federated.transcript import Versions


def moved(written: Any, step: float = 1e-4) -> None:
    """Deliver other weights than the recorded run made."""
    path = written.folder / "after.safetensors"
    save_file({name: one + step for name, one in read_tensors(path).items()}, path)


def test_an_exact_method_run_again_to_the_byte_passes_as_exact(erased) -> None:
    finding = erased("client:1", "retrain").ask(replay)
    assert (finding.status, finding.strength, finding.basis) == (Status.PASS, "exact", "measured")
    assert "from recipe, seed and retained data alone" in finding.summary
    [difference] = finding.measurements
    assert (difference.name, difference.value, difference.threshold.limit) == ("replay_difference", 0.0, 0.0)
    assert finding.limitations == (
        "It was run from recipe, seed and retained data alone; what the retained data is, is the owner's word.",
    )


def test_an_approximate_method_passes_and_says_that_this_is_no_forgetting(erased) -> None:
    finding = erased("client:1", "finetune").ask(replay)
    assert finding.status is Status.PASS
    assert "alone" not in finding.summary
    assert "does not show that it forgets" in finding.limitations[0]


def test_another_model_fails_with_the_largest_difference(erased) -> None:
    written = erased("client:1", "rapid-retrain")
    moved(written)
    finding = written.ask(replay)
    assert (finding.status, finding.reason, finding.severity) == (Status.FAIL, "", "high")
    assert finding.measurements[0].value == pytest.approx(1e-4, rel=0.01)
    assert "0.0001 a weight" in finding.summary
    assert finding.remedy.parameter == "unlearning.transcript"


@pytest.mark.parametrize(
    ("versions", "reason", "told"),
    [
        ({"torch": "1.0.0"}, "other-version", "It ran under torch 1.0.0"),
        ({"device": "cuda:0"}, "other-device", "It ran on cuda:0"),
        ({"threads": 2}, "other-threads", "It ran on 2 threads"),
    ],
)
def test_another_version_device_or_number_of_threads_leaves_it_open(
    erased, versions: Any, reason: str, told: str
) -> None:
    written = erased()
    ours = Versions(torch=str(torch.__version__), device="cpu", threads=1)
    written.retell(header=lambda one: one.model_copy(update={"versions": ours.model_copy(update=versions)}))
    moved(written)
    finding = written.ask(replay)
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, reason)
    assert told in finding.summary
    assert finding.measurements[0].value == pytest.approx(1e-4, rel=0.01)


def test_a_false_record_says_from_which_round_on(erased) -> None:
    written = erased("client:1", "rapid-retrain", rounds=3)
    written.retell(
        rounds=lambda all_: (all_[0], all_[1].model_copy(update={"model": "0" * 64}), all_[2]),
        close=lambda one: one,
    )
    finding = written.ask(replay)
    assert finding.status is Status.PASS  # the delivered bytes are the run's; the line that is not is told
    assert finding.detail == "The model of round 2 is the first that differs from the recorded one."


def test_doing_nothing_is_a_replay_without_power(erased) -> None:
    finding = erased("client:1", "no-op").ask(replay)
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "control-failed")


@pytest.mark.parametrize(
    ("name", "line", "reason"),
    [
        ("federaser", "", "missing:recording"),
        ("finetune", 'before = "before.safetensors"\n', "missing:unlearning.before"),
        ("finetune", 'after = "after.safetensors"\n', "missing:unlearning.after"),
        ("finetune", 'layers = "layers.json"\n', "missing:model.layers"),
    ],
)
def test_what_it_lacks_leaves_it_open(erased, name: str, line: str, reason: str) -> None:
    written = erased("client:1", name)
    if line:
        written.edit(line, "")
    finding = written.ask(replay)
    assert (finding.status, finding.reason, finding.measurements) == (Status.INCONCLUSIVE, reason, ())


def test_retained_copies_are_told_beside_equal_bytes(erased, small) -> None:
    federation = small()
    first, *others = federation.data.clients
    copied = replace(federation, data=replace(federation.data, clients=(others[0], first, *others[1:], first)))
    finding = erased("client:1", "retrain", erasure={"federation": copied}).ask(replay)
    assert finding.status is Status.PASS
    assert "8 examples to be forgotten stand among the retained ones, or nearly so." in finding.limitations


def test_what_takes_the_proof_from_equal_bytes_is_told(erased) -> None:
    written = erased("client:1", "retrain")
    written.retell(header=lambda one: one.model_copy(update={"request": "client:2"}))
    written.edit('layers = "layers.json"', 'definition = "model.py:build"')
    layers = "torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3)"
    code = f"import torch\n\n\ndef build():\n    return torch.nn.Sequential({layers})\n"
    (written.folder / "model.py").write_text(code)
    assert written.ask(replay).reason == "missing:model.layers"
    finding = written.ask(replay, trust_code=True)
    assert finding.status is Status.PASS
    assert any("the owner's code" in one.lower() for one in finding.limitations)
    assert any("disagree on what was to be forgotten" in one for one in finding.limitations)


def test_it_is_not_run_at_smoke_nor_without_a_transcript(erased) -> None:
    written = erased()
    finding = written.ask(replay, effort=Effort.SMOKE)
    assert (finding.status, finding.reason) == (Status.SKIPPED, "budget")
    written.edit('transcript = "transcript.jsonl"\n', "")
    assert written.ask(replay).reason == "missing:unlearning.transcript"
