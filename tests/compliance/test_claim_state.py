"""What a measurement says of a claim: a positive and a negative twin for every row of the table."""

import ast
import re
from collections.abc import Sequence
from importlib import import_module, resources
from pathlib import Path

import pytest

from compliance.claim_kinds import claim_kinds
from compliance.claim_state import Comparison, Measured, compare
from compliance.claims import KINDS, Claim


def claim(kind: str, value: float | None = None, unit: str = "", *, hedged: bool = False) -> Claim:
    return Claim(kind, value, unit, hedged, "words", 0, 5)


def state(one: Claim, measured: Sequence[Measured], declaration: Sequence[float] = ()) -> Comparison:
    kind = claim_kinds()[one.kind]
    return compare(one, measured, declaration, says=kind.says, slack=kind.slack)


def figure(
    value: float,
    low: float | None = None,
    high: float | None = None,
    status: str = "pass",
    bound: str = "both",
    unit: str = "",
) -> Measured:
    ends = (value if low is None else low, value if high is None else high)
    return Measured("a.check", "", status, "figure", value, *ends, unit, bound)  # type: ignore[arg-type]


def held(status: str) -> Measured:
    return Measured("secagg.double-reveal", "", status)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "measured", "expected"),
    [
        (claim("epsilon", 1.0), figure(2.7), "contradicted"),
        (claim("epsilon", 1.0), figure(0.4), "consistent"),
        (claim("epsilon", 1.0), figure(1.0009), "consistent"),  # rounded in the text
        (claim("epsilon", 1.0), figure(1.002), "contradicted"),
        (claim("epsilon", 1.0), figure(0.4, status="fail"), "not_contradicted"),
        (claim("epsilon", 1.0), figure(3.1, 2.7, 4.0, bound="lower"), "contradicted"),
        (claim("epsilon", 1.0), figure(1.4, 0.4, 2.0, bound="lower"), "not_contradicted"),  # its low end proves nothing
        (claim("epsilon", 1.0), figure(0.1, 0.1, 0.4, bound="lower"), "not_contradicted"),  # a bound cannot confirm
        (claim("epsilon", 1.0), figure(3.0, status="fail", bound="refuted"), "contradicted"),
        (claim("epsilon", 5.0), figure(3.0, status="fail", bound="refuted"), "untested"),
        (claim("epsilon", 1.0, "client"), figure(2.7, unit="client"), "contradicted"),
        (claim("epsilon", 1.0, "example"), figure(2.7, unit="client"), "not_comparable"),
        (claim("epsilon", 1.0), figure(2.7, status="undecided"), "untested"),
        (claim("dropout_tolerance", 0.5), figure(0.3), "contradicted"),
        (claim("dropout_tolerance", 0.3), figure(0.45), "consistent"),
        (claim("membership_advantage", 0.05), figure(0.2, 0.1, 0.3), "contradicted"),
        (claim("membership_advantage", 0.05), figure(0.06, 0.01, 0.1), "not_contradicted"),
        (claim("membership_advantage", 0.05), figure(0.02, 0.0, 0.04), "consistent"),
        (claim("accuracy", 0.99), figure(0.92, 0.9, 0.94), "contradicted"),
        (claim("accuracy", 0.93), figure(0.92, 0.9, 0.94), "not_contradicted"),
        (claim("accuracy", 0.9), figure(0.92, 0.9, 0.94), "consistent"),
        (claim("no_reconstruction", 0.0), figure(0.7, 0.6, 0.8, "fail"), "contradicted"),
        (claim("no_reconstruction", 0.0), figure(0.01, 0.0, 0.05, "fail"), "not_contradicted"),
        (claim("no_reconstruction", 0.0), figure(0.0, 0.0, 0.05), "consistent"),
        (claim("no_reconstruction", 0.0), figure(0.02, 0.01, 0.05), "not_contradicted"),  # some came back
        (claim("secure_aggregation"), held("fail"), "contradicted"),
        (claim("secure_aggregation"), held("pass"), "consistent"),
        (claim("secure_aggregation"), held("undecided"), "untested"),
        (claim("unlearned"), held("fail"), "contradicted"),
        (claim("unlearned"), held("pass"), "consistent"),
    ],
)
def test_every_row_has_its_twin(one: Claim, measured: Measured, expected: str) -> None:
    assert state(one, [measured]).state == expected
    assert state(one, []).state == "untested"
    hedged = Claim(one.kind, one.value, one.unit, True, one.quote, 0, 5, "hedged")
    assert state(hedged, [measured]).state == "ambiguous"


@pytest.mark.parametrize("kind", ["delta", "noise_multiplier", "clipping_norm", "clients", "rounds"])
def test_what_is_declared_can_only_be_inconsistent(kind: str) -> None:
    worst = [figure(1e9, status="fail")]
    assert state(claim(kind, 10.0), worst, (10.0,)).state == "consistent"
    assert state(claim(kind, 10.0), worst, (10.009,)).state == "consistent"
    assert state(claim(kind, 10.0), worst, (10.02,)).state == "inconsistent"
    assert state(claim(kind, 10.0), worst).state == "untested"


def test_one_failed_finding_outweighs_all_that_passed_and_one_open_one_leaves_it_open() -> None:
    one = claim("secure_aggregation")
    assert state(one, [held("pass"), held("fail"), held("undecided")]).state == "contradicted"
    assert state(one, [held("pass"), held("undecided")]).state == "not_contradicted"
    assert state(one, [held("pass"), held("pass")]).state == "consistent"


def test_a_figure_that_keeps_a_claim_does_not_speak_for_one_that_is_open_or_does_not_keep_it() -> None:
    one, kept = claim("accuracy", 0.9), figure(0.95, 0.93, 0.97)
    assert state(one, [kept]).state == "consistent"
    assert state(one, [kept, figure(0.95, 0.93, 0.97, "undecided")]).state == "not_contradicted"
    assert state(one, [kept, figure(0.89, 0.86, 0.92)]).state == "not_contradicted"


def test_the_worst_figure_is_shown_beside_the_claim() -> None:
    found = state(claim("no_reconstruction", 0.0), [figure(0.7, 0.6, 0.8, "fail"), figure(1.0, 0.95, 1.0, "fail")])
    assert found.by is not None
    assert found.by.value == 1.0


def test_claims_json_answers_every_kind_and_cites_duties_that_exist() -> None:
    from compliance.catalogue import load_catalogue

    assert tuple(claim_kinds()) == KINDS
    known = {control.id for control in load_catalogue("2026-07-27").controls}
    for kind in claim_kinds().values():
        assert set(kind.controls) | {one for more in kind.documents.values() for one in more} <= known


def _strings(path: Path) -> set[str]:
    """Return every string of a file's syntax tree; a name within a comment or a docstring is none."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def _measurements_of(check_id: str) -> set[str]:
    """Return the strings of a check's source and of all that it imports from its package, measurements' names too."""
    from reports.check import discover

    module = next(check.ask.__module__ for check in discover() if check.id == check_id)
    seen: set[str] = set()
    names: set[str] = set()
    waiting = [module]
    package = module.split(".")[0]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = Path(str(import_module(name).__file__))
        names |= _strings(path)
        found = re.findall(r"^\s*from ([\w.]+) import", path.read_text(encoding="utf-8"), re.MULTILINE)
        waiting += [one for one in found if one.startswith(f"{package}.")]
    return names


def test_every_measurement_that_answers_a_claim_is_emitted_by_a_registered_check() -> None:
    from reports.check import discover

    ids = {check.id for check in discover()}
    for name, kind in claim_kinds().items():
        for answer in kind.compared:
            checks = [id_ for id_ in ids if re.fullmatch(answer.check.replace(".", r"\.").replace("*", ".*"), id_)]
            assert checks, f"{name}: no check {answer.check}"
            if answer.measurement is not None:
                assert any(answer.measurement in _measurements_of(id_) for id_ in checks), (name, answer.measurement)


def test_a_name_that_no_check_emits_would_be_noticed() -> None:
    assert "epsilon_accounted" in _measurements_of("dp.accounting")
    assert "epsilon_acounted" not in _measurements_of("dp.accounting")
    assert "dropout_tolerance" not in _measurements_of("integrity.accuracy")


def test_every_kind_of_evidence_that_a_check_emits_is_a_word_of_the_law() -> None:
    from compliance.catalogue import all_controls
    from reports.check import discover

    words = {kind for control in all_controls() for kind in control.evidence_kinds}
    for check in discover():
        assert set(check.kinds) <= words, check.id


def test_the_file_ships_with_the_package() -> None:
    assert resources.files("compliance").joinpath("claims.json").is_file()
