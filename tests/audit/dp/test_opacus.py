"""`from_opacus` on real runs of PrivacyEngine; every way of training otherwise than declared shows in the record."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from opacus import PrivacyEngine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from audit.dp.opacus import ConfigurationFault, configuration_faults, layer_types, undeclared
from audit.dp.record import DPRecord, from_opacus, read_record
from reports.formats import BrokenFile
from reports.model import DifferentialPrivacy, Severity

EXAMPLES, BATCH, EPOCHS = 60, 20, 2


def run(
    *, accountant: str = "prv", steps: int | None = None, loader: DataLoader[Any] | None = None, **private: Any
) -> tuple[PrivacyEngine, Any, Any, Any]:
    """Return the objects of a few private steps on random data."""
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(6, 8), nn.GroupNorm(2, 8), nn.ReLU(), nn.Linear(8, 3))
    data = TensorDataset(torch.randn(EXAMPLES, 6), torch.randint(0, 3, (EXAMPLES,)))
    batches = loader or DataLoader(data, batch_size=BATCH)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that secure mode is off, and that hooks are not full
        engine = PrivacyEngine(accountant=accountant)
        settings: dict[str, Any] = {"noise_multiplier": 1.1, "max_grad_norm": 0.7, **private}
        optimizer: Any = torch.optim.SGD(model.parameters(), lr=0.1)
        model, optimizer, drawn = engine.make_private(
            module=model, optimizer=optimizer, data_loader=batches, **settings
        )
        taken = 0
        for _ in range(EPOCHS):
            for x, y in drawn:
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x), y).backward()
                optimizer.step()
                taken += 1
                if taken == steps:
                    return engine, optimizer, drawn, model
    return engine, optimizer, drawn, model


DECLARED = DifferentialPrivacy(
    unit="example", noise_multiplier=1.1, sampling="poisson", sampling_rate=1 / 3, steps=6, clipping_norm=0.7,
    delta=1e-3, accountant="prv",
)  # fmt: skip


def grave(record: DPRecord, declared: DifferentialPrivacy = DECLARED, layers: Any = ()) -> list[str]:
    return [
        f.parameter.rpartition(".")[2] for f in configuration_faults(record, declared, layers) if f.severity == "high"
    ]


@pytest.fixture(scope="module")
def record() -> DPRecord:
    return from_opacus(*run())


def test_the_record_equals_the_run(record: DPRecord, tmp_path: Path) -> None:
    assert record.history == ((1.1, pytest.approx(1 / 3), 6),)
    assert (record.accountant, record.poisson_sampling, record.secure_mode) == ("prv", True, False)
    assert (record.clipping, record.max_grad_norm) == ("flat", 0.7)
    assert (record.expected_batch_size, record.dataset_size, record.generator_seed) == (BATCH, EXAMPLES, None)
    assert record.modules == ("GroupNorm", "Linear", "ReLU")
    (tmp_path / "record.json").write_bytes(record.to_bytes())
    assert read_record(tmp_path / "record.json") == record
    assert json.loads(record.to_bytes())["schema"] == "fedaudit.dp-record/1"


def test_a_run_as_declared_has_no_grave_fault_and_says_that_its_noise_is_no_cryptography(record: DPRecord) -> None:
    faults = configuration_faults(record, DECLARED)
    assert [(fault.severity, fault.value) for fault in faults] == [(Severity.MEDIUM, "secure_mode")]
    assert configuration_faults(record.model_copy(update={"secure_mode": True}), DECLARED) == ()


@pytest.mark.parametrize(
    ("private", "expected"),
    [
        ({"noise_multiplier": 0.9}, ["noise_multiplier"]),
        ({"max_grad_norm": 1.0}, ["clipping_norm"]),
        ({"poisson_sampling": False}, ["sampling"]),
        ({"noise_generator": torch.Generator().manual_seed(5)}, ["record"]),
        ({"steps": 4}, ["steps"]),
    ],
    ids=["less-noise", "other-norm", "shuffling", "seeded-generator", "fewer-steps"],
)
def test_a_real_run_that_departs_from_the_declaration_is_found(private: dict[str, Any], expected: list[str]) -> None:
    assert grave(from_opacus(*run(**private))) == expected


def test_the_seed_and_the_clipping_by_layer_are_read_off_the_optimizer() -> None:
    assert from_opacus(*run(noise_generator=torch.Generator().manual_seed(5), steps=1)).generator_seed == 5
    by_layer = from_opacus(*run(clipping="per_layer", max_grad_norm=[0.3] * 6, steps=1))
    assert (by_layer.clipping, by_layer.max_grad_norm) == ("per_layer", pytest.approx(0.3 * 6**0.5))


def test_the_central_limit_accountant_is_a_lesser_fault_with_the_exact_one_as_mend() -> None:
    faults = configuration_faults(
        from_opacus(*run(accountant="gdp")), DECLARED.model_copy(update={"accountant": "gdp"})
    )
    assert [(fault.severity, fault.value) for fault in faults] == [("medium", "secure_mode"), ("medium", "prv")]


def test_what_is_no_run_of_opacus_is_refused() -> None:
    engine, optimizer, loader, model = run(steps=1)
    with pytest.raises(ValueError, match="SGD is no optimizer of Opacus"):
        from_opacus(engine, optimizer.original_optimizer, loader, model)
    with pytest.raises(ValueError, match="counted no step"):
        from_opacus(PrivacyEngineUnused().engine, optimizer, loader, model)


class PrivacyEngineUnused:
    """An engine before its first step."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.engine = PrivacyEngine()


def changed(record: DPRecord, **changes: Any) -> DPRecord:
    return record.model_copy(update=changes)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"history": ((1.1, 1 / 3, 4), (1.1, 1 / 3, 2))}, []),  # a run that was continued
        ({"history": ((1.1, 1 / 3, 5), (1.0, 1 / 3, 1))}, ["noise_multiplier"]),
        ({"history": ((1.1, 0.34, 6),)}, ["sampling_rate"]),
        ({"history": ((1.1000005, 1 / 3, 6),)}, []),  # within 1e-6
        ({"history": ()}, ["record"]),
        ({"history": ((1.1, 1 / 3, 7),)}, ["steps"]),
        ({"expected_batch_size": 30}, ["sampling_rate"]),
        ({"expected_batch_size": 18}, ["sampling_rate"]),
        ({"expected_batch_size": None}, []),
        ({"modules": ("Conv2d", "SyncBatchNorm")}, ["layers"]),
        ({"generator_seed": 0}, ["record"]),
        ({"poisson_sampling": False, "generator_seed": 1}, ["sampling", "record"]),
    ],
)
def test_each_setting_counts(record: DPRecord, change: dict[str, Any], expected: list[str]) -> None:
    assert grave(changed(record, **change)) == expected


def test_a_batch_that_opacus_rounds_down_is_no_fault(record: DPRecord) -> None:
    rounded = changed(record, history=((1.1, 1 / 235, 6),), expected_batch_size=255, dataset_size=60000)
    assert grave(rounded, DECLARED.model_copy(update={"sampling_rate": 1 / 235})) == []


def test_batch_normalisation_is_found_in_the_layer_list_too(record: DPRecord) -> None:
    inside = [{"type": "Linear"}, {"type": "Residual", "layers": [{"type": "BatchNorm1d"}]}]
    assert grave(record, layers=inside) == ["layers"]
    assert grave(record, layers=[{"type": "GroupNorm"}]) == []
    assert list(layer_types(inside)) == ["Linear", "Residual", "BatchNorm1d"]


def test_sampling_that_is_declared_honestly_is_a_lesser_fault(record: DPRecord) -> None:
    shuffled = changed(record, poisson_sampling=False)
    honest = DECLARED.model_copy(update={"sampling": "shuffle"})
    assert grave(shuffled, honest) == []
    assert next(fault.value for fault in configuration_faults(shuffled, honest)) == "full participation"
    whole = changed(shuffled, history=((1.1, 1.0, 6),), expected_batch_size=EXAMPLES)
    assert grave(whole, DECLARED.model_copy(update={"sampling": "full", "sampling_rate": None})) == []


def test_adaptive_clipping_and_another_accountant_are_lesser_faults(record: DPRecord) -> None:
    other = changed(record, clipping="adaptive", accountant="rdp", secure_mode=True)
    faults = configuration_faults(other, DECLARED)
    assert [(fault.severity, fault.value) for fault in faults] == [("medium", "flat"), ("medium", "rdp")]


def test_what_is_not_declared_is_not_compared(record: DPRecord) -> None:
    assert undeclared(DECLARED) == ()
    empty = DifferentialPrivacy()
    assert undeclared(empty) == ("noise_multiplier", "sampling_rate", "steps", "clipping_norm")
    assert grave(record, empty) == []
    assert undeclared(DifferentialPrivacy(sampling="full")) == ("noise_multiplier", "steps", "clipping_norm")


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda fields: fields | {"schema": "other/1"}, "schema"),
        (lambda fields: {k: v for k, v in fields.items() if k != "schema"}, "schema"),
        (lambda fields: fields | {"poisson_sampling": "yes"}, "poisson_sampling"),
        (lambda fields: fields | {"history": [[1.0, 2.0, 3]]}, "history.0.1"),
        (lambda fields: fields | {"history": [[1.0, 0.5]]}, "history.0.2"),
        (lambda fields: fields | {"noise": 1}, "noise"),
        (lambda fields: [fields], "Input should be"),
    ],
)
def test_a_broken_record_is_told_by_file_and_field(
    edit: Callable[[dict[str, Any]], Any], told: str, record: DPRecord, tmp_path: Path
) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(edit(json.loads(record.to_bytes()))))
    with pytest.raises(BrokenFile, match=told) as caught:
        read_record(path)
    assert "record.json" in caught.value.message
    path.write_text('{"schema": NaN}')
    with pytest.raises(BrokenFile, match="not JSON"):
        read_record(path)


def test_a_fault_says_what_would_mend_it(record: DPRecord) -> None:
    fault: ConfigurationFault = configuration_faults(changed(record, history=((1.1, 1 / 3, 9),)), DECLARED)[0]
    assert (fault.parameter, fault.direction, fault.value) == ("federation.differential_privacy.steps", "raise", "9")
