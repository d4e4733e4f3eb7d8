"""`dp.opacus-configuration`: a clean record passes, a grave fault fails, half a declaration decides nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from audit.dp.check_opacus import configuration
from reports.formats import BrokenFile
from reports.model import Status

RECORD = {
    "schema": "fedaudit.dp-record/1", "history": [[1.0, 0.004, 1000]], "accountant": "prv", "poisson_sampling": True,
    "secure_mode": False, "clipping": "flat", "max_grad_norm": 1.0, "expected_batch_size": 240, "dataset_size": 60000,
    "generator_seed": None, "modules": ["Conv2d", "Linear"],
}  # fmt: skip
DECLARED = {
    "unit": "example", "noise_multiplier": 1.0, "sampling": "poisson", "sampling_rate": 0.004, "steps": 1000,
    "clipping_norm": 1.0, "delta": 1e-6, "accountant": "prv",
}  # fmt: skip


@pytest.fixture
def finding(ask: Callable[..., Any], folder: Callable[[], Any]) -> Callable[..., Any]:
    def put(record: Any = None, declared: Any = None, layers: Any = None) -> Any:
        system = folder()
        (system.path / "record.json").write_text(json.dumps({**RECORD, **(record or {})}))
        system.privacy(**(DECLARED if declared is None else declared), record="record.json")
        if layers is not None:
            (system.path / "layers.json").write_text(json.dumps(layers))
            system.tables["model"] = {"layers": "layers.json"}
        return ask(configuration, system.done())

    return put


def test_a_clean_record_passes_and_says_what_it_is_not(finding: Callable[..., Any]) -> None:
    asked = finding()
    found = asked.finding
    assert (found.status, found.strength, found.basis) == (Status.PASS, "exact", "recorded")
    assert asked.value("configuration_faults") == 0
    assert asked.value("configuration_warnings") == 1
    assert any("not made for cryptography" in said for said in found.limitations)
    assert found.remedy.value == "secure_mode"
    clean = finding({"secure_mode": True}).finding
    assert (clean.status, clean.remedy) == (Status.PASS, None)


@pytest.mark.parametrize(
    ("record", "layers", "parameter"),
    [
        ({"poisson_sampling": False}, None, "federation.differential_privacy.sampling"),
        ({"modules": ["BatchNorm2d", "Conv2d"]}, None, "model.layers"),
        ({}, [{"type": "BatchNorm1d", "num_features": 3}], "model.layers"),
        ({"generator_seed": 42}, None, "federation.differential_privacy.record"),
        ({"history": [[0.5, 0.004, 1000]]}, None, "federation.differential_privacy.noise_multiplier"),
    ],
)
def test_a_grave_fault_fails(finding: Callable[..., Any], record: Any, layers: Any, parameter: str) -> None:
    asked = finding(record, layers=layers)
    assert asked.finding.status is Status.FAIL
    assert asked.finding.remedy.parameter == parameter
    assert asked.value("configuration_faults") == 1


def test_several_faults_are_counted_and_each_is_told(finding: Callable[..., Any]) -> None:
    found = finding({"poisson_sampling": False, "generator_seed": 1, "max_grad_norm": 2.0}).finding
    assert "(3 grave faults)" in found.summary
    assert found.detail.count("high: ") == 3


def test_half_a_declaration_decides_nothing_but_can_be_contradicted(finding: Callable[..., Any]) -> None:
    half = {key: value for key, value in DECLARED.items() if key != "clipping_norm"}
    found = finding(declared=half).finding
    assert (found.status, found.reason) == (
        Status.INCONCLUSIVE,
        "missing:federation.differential_privacy.clipping_norm",
    )
    assert finding({"generator_seed": 1}, declared=half).finding.status is Status.FAIL


def test_a_broken_record_or_layer_list_is_an_error_of_the_file(finding: Callable[..., Any]) -> None:
    with pytest.raises(BrokenFile, match=r"record.json: secure_mode"):
        finding({"secure_mode": 1})
    with pytest.raises(BrokenFile, match=r"layers.json.*no list of layers"):
        finding(layers={"type": "Linear"})


def test_where_no_layer_is_named_the_answer_says_so(finding: Callable[..., Any]) -> None:
    assert any("was not looked for" in said for said in finding({"modules": []}).finding.limitations)
    assert not any("was not looked for" in said for said in finding().finding.limitations)
