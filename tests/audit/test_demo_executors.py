"""The demonstration's audits on several processes and on a cluster: the very bytes that one process signed."""

from dataclasses import replace
from pathlib import Path

import pytest

from audit.executors import named_executor
from audit.request import Request
from audit.run import run_audit
from reports.bundle import read_bundle

ON_RAY = pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.filterwarnings("ignore")])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["careless", "careful"])
@pytest.mark.parametrize("executor", ["process", ON_RAY])
def test_every_executor_signs_what_the_serial_one_signs(
    demo_folder: Path, tmp_path: Path, name: str, executor: str
) -> None:
    alone = read_bundle(demo_folder / f"{name}.bundle")
    made = alone.report.provenance
    request = Request(
        system_file=demo_folder / name / "system.toml",
        bundle=tmp_path / "bundle",
        now=made.started,
        effort=made.effort,
        policy_sha256=made.policy_sha256,
        auditor=made.auditor,
    )
    told = run_audit(request, executor=named_executor(executor))
    assert told.statement.body == alone.statement.body
    for piece in alone.report.evidence:
        there = Path("evidence") / piece.path
        assert (tmp_path / "bundle" / there).read_bytes() == (alone.path / there).read_bytes()
    other = run_audit(replace(request, bundle=tmp_path / "other", seed=1), executor=named_executor(executor))
    assert other.statement.body != told.statement.body  # another seed is another report, so equality says something
