"""A claim that a model finds is kept only where the document says it, figure and all, and it moves no other claim."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.cli.main import run
from compliance.assessing import Assignment, Readership, assessed
from compliance.claims import KINDS, Claim
from compliance.claims_compared import compared_alone, compared_claims
from compliance.judge.claim_reader import CLAIM_SCHEMA
from compliance.judge_file import quick_judge
from compliance.llm.fake import FakeModel, Request, Say, Step, serve, transport
from compliance.llm.fake_judge import asked_of, scripted
from reports.nouns import Effort
from tests.compliance.audited import system
from tests.compliance.judge.reading_room import CATALOGUE, document, duties, honest
from tests.compliance.test_assessing import DAY

BOUNDED = "The loss of each client in the sense of Dwork ends at 3."
TEXT = f"# D\n\nEpsilon is at most 1.0 for each client.\n\n{BOUNDED}\n"


def reader(*claims: dict[str, object], spoil: Callable[[str], str] = lambda code: code) -> Callable[[Request], Step]:
    """Return a reader that finds these claims, and reads duties honestly."""
    reading = scripted(honest)

    def step(request: Request) -> Step:
        if asked_of(request) is not None:
            return reading(request)
        [code] = re.findall(r"\nCODE WORD\n([0-9a-f]{16})\n", request.messages[1]["content"])
        return Say(json.dumps({"claims": claims, "code": spoil(code)}))

    return step


def found(*claims: dict[str, object], effort: Effort = Effort.FULL, **how: Any) -> list[tuple[str, float | None, str]]:
    """Return kind, value and extractor of every claim of an assessment."""
    one, about = document(TEXT), system()
    assignment = Assignment(
        (one,),
        duties("EU-AIA:9(1)"),
        CATALOGUE,
        DAY,
        effort,
        compared_claims((one,), about, ()),
        lambda told: compared_alone(told, about, ()),
    )
    readership = Readership(quick_judge("http://127.0.0.1:8080/v1", "fake"), Path(), samples=1, pairs=0)
    outcome = assessed(assignment, readership, transport=transport(FakeModel(reader(*claims, **how))))
    assert outcome.errors == ()
    return [(claim.kind, claim.value, claim.extractor) for claim in outcome.assessment.claims]  # type: ignore[misc]


BY_RULE = [("epsilon", 1.0, "rule")]


def test_a_claim_that_the_document_makes_is_kept() -> None:
    kept = found({"kind": "epsilon", "value": 3.0, "quote": BOUNDED})
    assert kept == [*BY_RULE, ("epsilon", 3.0, "llm")]


@pytest.mark.parametrize(
    "claim",
    [
        {"kind": "epsilon", "value": 2.0, "quote": BOUNDED},  # another figure than the words hold
        {"kind": "epsilon", "value": 3.0, "quote": BOUNDED.replace("each", "every")},  # other words
        {"kind": "colour", "value": 3.0, "quote": BOUNDED},
        {"kind": "epsilon", "value": 1.0, "quote": "Epsilon is at most 1.0"},  # the rules have found it
    ],
)
def test_what_the_document_does_not_say_is_dropped(claim: dict[str, object]) -> None:
    assert found(claim) == BY_RULE


def test_a_wrong_code_word_brings_no_claim() -> None:
    assert found({"kind": "epsilon", "value": 3.0, "quote": BOUNDED}, spoil=lambda _code: "0" * 16) == BY_RULE


@pytest.mark.parametrize("effort", [Effort.SMOKE, Effort.STANDARD])
def test_a_model_is_asked_for_claims_at_full_effort_alone(effort: Effort) -> None:
    assert found({"kind": "epsilon", "value": 3.0, "quote": BOUNDED}, effort=effort) == BY_RULE


def test_every_kind_of_claim_can_be_answered() -> None:
    listed: Any = CLAIM_SCHEMA["properties"]
    assert listed["claims"]["items"]["properties"]["kind"]["enum"] == list(KINDS)
    assert Claim.__dataclass_fields__.keys() >= {"kind", "value", "quote"}


def test_a_claim_of_the_model_is_held_against_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "td.md").write_text(f"# D\n\n{BOUNDED}\n")
    bound = {
        "name": "epsilon_lower_bound",
        "value": 4.0,
        "method": "m",
        "interval": {"low": 3.5, "high": 4.5, "confidence": 0.95},
    }
    finding = {"check": "dp.lower-bound", "status": "fail", "strength": "statistical", "measurements": [bound]}
    (tmp_path / "findings.json").write_text(json.dumps([finding]))
    with serve(FakeModel(reader({"kind": "epsilon", "value": 3.0, "quote": BOUNDED}))) as server:
        code = run(
            ["compliance", "assess", str(tmp_path / "td.md"), "--base-url", server.base_url, "--model", "m",
             "--samples", "1", "--planted", "0", "--controls", "EU-AIA:9(1)", "--effort", "full",
             "--against", str(tmp_path / "findings.json"), "--json"]
        )  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    assert (code, told["contradictions"]) == (0, 1)
    [claim] = told["claims"]
    assert (claim["extractor"], claim["state"], claim["measured"]) == ("llm", "contradicted", 4.0)
