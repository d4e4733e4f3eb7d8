"""The check `unlearning.federated.compatibility`: a method against what the server is said to see."""

import pytest

from reports.model import Status
from unlearning.federated.checks.compatibility import compatibility
from unlearning.federated.methods import METHODS

AGGREGATE = '\n[federation]\nvisibility = "aggregate"\n'
UPDATE = '\n[federation]\nvisibility = "update"\n'
REFUSED = ("ascent", "projected-ascent", "federaser", "distillation", "ffum")
"""The planner's table in the specification, for a request of one client."""


@pytest.mark.parametrize("name", [name for name in METHODS if name != "no-op"])
def test_sums_alone_go_with_the_methods_that_need_no_more(erased, name: str) -> None:
    written = erased("client:1", name)
    written.declare(AGGREGATE)
    finding = written.ask(compatibility)
    assert finding.status is (Status.FAIL if name in REFUSED else Status.PASS)
    assert (finding.strength, finding.basis) == ("document", "declared")
    assert (finding.remedy is not None) == (name in REFUSED)
    assert name in finding.summary


@pytest.mark.parametrize(
    ("request_", "parameters", "status"),
    [
        ("client:1", {}, Status.FAIL),
        ("client:0,1", {}, Status.PASS),  # a group of two: the server sees their sum
        ("class:1", {}, Status.PASS),
        ("client:1", {"reset": "init"}, Status.PASS),  # only the min phase runs
    ],
)
def test_what_ffum_needs_depends_on_the_group_and_on_its_reset(erased, request_: str, parameters, status) -> None:
    written = erased(request_, "ffum", **parameters)
    written.declare(AGGREGATE)
    assert written.ask(compatibility).status is status


def test_a_group_is_of_clients_that_answered(erased) -> None:
    written = erased("client:0,1", "ffum", erasure={"offline": frozenset({1})})
    written.declare(AGGREGATE)
    assert written.ask(compatibility).status is Status.FAIL


def test_where_updates_are_visible_every_method_fits(erased) -> None:
    written = erased("client:1", "federaser")
    written.declare(UPDATE)
    assert written.ask(compatibility).status is Status.PASS


def test_secure_aggregation_shows_sums_alone_where_nothing_else_is_said(erased) -> None:
    written = erased("client:1", "federaser")
    written.declare('\n[federation.secure_aggregation]\nprotocol = "own"\n')
    assert written.ask(compatibility).status is Status.FAIL


def test_without_a_transcript_the_declared_method_is_asked_about(erased) -> None:
    written = erased("client:1", "ascent")
    written.edit('transcript = "transcript.jsonl"\n', "")
    written.declare(AGGREGATE)
    assert written.ask(compatibility).status is Status.FAIL
    written.edit('"ascent"', '"our-own"')
    finding = written.ask(compatibility)
    assert (finding.status, finding.reason) == (Status.INCONCLUSIVE, "unknown-method")
    written.edit('method = "our-own"\n', "")
    finding = written.ask(compatibility)
    assert (finding.status, finding.reason) == (Status.SKIPPED, "missing:unlearning.method")


def test_without_a_word_on_what_the_server_sees_it_is_skipped(erased) -> None:
    written = erased()
    written.declare("\n[federation]\nclients = 4\n")
    finding = written.ask(compatibility)
    assert (finding.status, finding.reason) == (Status.SKIPPED, "missing:federation.visibility")
