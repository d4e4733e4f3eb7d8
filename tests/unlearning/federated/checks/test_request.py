"""The check `unlearning.federated.request`: what is forgotten and what stays have nothing in common, or it is said."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from reports.model import Finding, Status
from unlearning.federated.checks.request import request
from unlearning.federated.data import ClientData


def figures(finding: Finding) -> dict[str, float]:
    return {one.name: one.value for one in finding.measurements}


def overlapping(federation: Any, change: float) -> Any:
    """Client 0 also holds two of client 1's examples, each number changed by so much."""
    first, second, *others = federation.data.clients
    held = ClientData(torch.cat([first.x, second.x[:2] + change]), torch.cat([first.y, second.y[:2]]))
    return replace(federation, data=replace(federation.data, clients=(held, second, *others)))


def put(folder: Any, name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    arrays = dict(np.load(folder / name))
    np.savez(folder / name, **(arrays | change(arrays)))


@pytest.mark.parametrize("request_", ["client:1", "client:0,2", "sample:0=0,1,4/3=2", "class:1"])
def test_a_clear_request_passes(erased, request_: str) -> None:
    finding = erased(request_).ask(request)
    assert (finding.status, finding.reason, finding.key) == (Status.PASS, "", "unlearning=r1")
    assert (finding.strength, finding.basis) == ("exact", "recorded")
    assert figures(finding) == {"overlapping_examples": 0, "near_duplicates": 0, "twin_label_distance": 0}
    assert "stands among the" in finding.summary
    assert any("owner's word" in one for one in finding.limitations)


@pytest.mark.parametrize(
    ("change", "status", "reason", "counted"),
    [
        (0.0, Status.FAIL, "", {"overlapping_examples": 2, "near_duplicates": 0}),
        (0.01, Status.INCONCLUSIVE, "near-duplicates", {"overlapping_examples": 0, "near_duplicates": 2}),
        (1.0, Status.PASS, "", {"overlapping_examples": 0, "near_duplicates": 0}),
    ],
)
def test_copies_fail_near_copies_leave_a_doubt_and_others_do_not(
    erased, small, change: float, status: Status, reason: str, counted: dict[str, int]
) -> None:
    finding = erased("client:1", erasure={"federation": overlapping(small(), change)}).ask(request)
    assert (finding.status, finding.reason) == (status, reason)
    assert figures(finding).items() >= counted.items()
    if status is not Status.PASS:
        assert finding.summary.startswith("2 of 6 examples to be forgotten")
        assert finding.remedy is not None
        assert finding.remedy.parameter == "unlearning.retain"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("forget", "data.forget: its digest is not that of forget.npz"),
        ("retain", "data.retain: its digest is not that of retain.npz"),
        ("twin", "data.twin: its digest is not that of twin.npz"),
    ],
)
def test_a_file_that_the_transcript_does_not_name_fails(erased, name: str, told: str) -> None:
    written = erased()
    put(written.folder, f"{name}.npz", lambda held: {"x": held["x"] + np.float32(2)})
    finding = written.ask(request)
    assert finding.status is Status.FAIL
    assert told in finding.summary
    assert told in finding.detail


def test_a_transcript_of_another_request_fails(erased) -> None:
    written = erased()
    written.retell(header=lambda one: one.model_copy(update={"request": "client:2"}))
    finding = written.ask(request)
    assert finding.status is Status.FAIL
    assert "client:2 names" in finding.summary


def test_a_twin_of_other_labels_leaves_a_doubt(erased) -> None:
    written = erased()
    written.edit('transcript = "transcript.jsonl"\n', "")
    put(written.folder, "twin.npz", lambda held: {"y": np.zeros_like(held["y"])})
    finding = written.ask(request)
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "twin-labels")
    assert figures(finding)["twin_label_distance"] > 0.02


@pytest.mark.parametrize("source", ["forget", "retain"])
def test_a_twin_that_somebody_trained_on_leaves_a_doubt(erased, source: str) -> None:
    written = erased()
    written.edit('transcript = "transcript.jsonl"\n', "")
    forgotten, held = (np.load(written.folder / f"{name}.npz") for name in ("forget", source))
    np.savez(written.folder / "twin.npz", x=held["x"][: len(forgotten["y"])], y=forgotten["y"])
    finding = written.ask(request)
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "twin-not-held-out")
    assert finding.summary == "6 examples of the twin are forgotten or retained ones."


def test_without_a_transcript_and_a_twin_it_passes_and_says_what_is_not_known(erased) -> None:
    written = erased()
    written.edit('transcript = "transcript.jsonl"\n', "")
    written.edit('twin = "twin.npz"\n', "")
    finding = written.ask(request)
    assert finding.status is Status.PASS
    assert "twin" not in finding.summary
    assert sum("transcript's header" in one or "no twin set" in one for one in finding.limitations) == 2


@pytest.mark.parametrize("name", ["forget", "retain"])
def test_what_is_not_declared_is_skipped(erased, name: str) -> None:
    written = erased()
    written.edit(f'{name} = "{name}.npz"\n', "")
    finding = written.ask(request)
    assert (finding.status, finding.reason) == (Status.SKIPPED, f"missing:unlearning.{name}")


def test_a_request_to_a_language_model_is_none_of_its_business(erased) -> None:
    written = erased()
    written.edit('kind = "client"', 'kind = "llm"')
    finding = written.ask(request)
    assert (finding.status, finding.reason) == (Status.SKIPPED, "not-applicable:kind-llm")
