"""Statements: only ReportError; what is read is written back in the same bytes' meaning, and can be judged."""

import json
import random
import tomllib
from datetime import date
from typing import Any

from mutation import Mutate, fuzz, mutate_bytes, mutate_value, refusal
from seeds import POLICY, sound_statement

from reports.canonical import canonical_json, strict_json
from reports.consistency import inconsistencies
from reports.errors import ReportError
from reports.judge import judge
from reports.policy import Policy
from reports.statement import make_statement, parse_statement

RULES = Policy.model_validate(tomllib.loads(POLICY.decode()))
TODAY = date(2026, 11, 21)


def mutate_canonically(data: bytes, rng: random.Random) -> bytes:
    """Return a mutation that is still in canonical form, so that it reaches the schema."""
    try:
        value: Any = json.loads(data)
        for _ in range(rng.randint(1, 3)):
            value = mutate_value(value, rng)
        return canonical_json(value)
    except (ValueError, RecursionError, ReportError):
        return mutate_bytes(data, rng)


def step(data: bytes) -> str:
    """Parse a statement; judge it if it parses and does not contradict itself."""
    try:
        statement = parse_statement(data)
    except ReportError as error:
        return refusal(error)
    assert canonical_json(strict_json(data)) == data
    again = parse_statement(make_statement(statement.report, statement.subjects).body)
    assert (again.report, again.subjects) == (statement.report, statement.subjects)
    contradictions = list(inconsistencies(statement.report))
    assert judge(statement.report, RULES, TODAY, baseline=statement.report).exit_code in (0, 1, 3)
    return f"inconsistent: {len(contradictions)}" if contradictions else "accepted"


if __name__ == "__main__":
    mutations: list[Mutate] = [mutate_canonically, mutate_canonically, mutate_canonically, mutate_bytes]
    fuzz("statement", [sound_statement()], step, mutations)
