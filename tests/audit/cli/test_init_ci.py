"""`fedaudit init --ci` and `--schemas`: files where services look for them, none overwritten, nothing loose in them."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from audit.cli.main import run
from reports.schema import FOLDER
from reports.version import VERSION
from tests.audit.cli.ci_service import template

STARTERS = ["system.toml", "policy.toml", "trust.toml"]
PLACES = {
    "github": [".github/actions/fedaudit/action.yml", ".github/workflows/fedaudit.yml"],
    "gitlab": [".gitlab/fedaudit.yml", ".gitlab-ci.yml"],
    "pre-commit": [".pre-commit-config.yaml"],
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    return tmp_path


def written(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> list[str]:
    capsys.readouterr()
    assert run(["init", *map(str, arguments), "--json"]) == 0
    return list(json.loads(capsys.readouterr().out)["written"])


def read(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("service", PLACES)
def test_a_service_finds_its_files_at_the_root_of_the_repository(
    repository: Path, service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = repository / "models" / "ward"
    paths = written(capsys, folder, "--ci", service)
    assert paths == [*(str(folder / name) for name in STARTERS), *(str(repository / name) for name in PLACES[service])]
    for name in PLACES[service]:
        read(repository / name)


def test_the_paths_inside_start_at_the_root_too(repository: Path) -> None:
    folder = repository / "models" / "Süd 2"
    for service in PLACES:
        assert run(["init", str(folder), "--ci", service]) == 0
    with_ = read(repository / PLACES["github"][1])["jobs"]["audit"]["steps"][-1]["with"]
    job = read(repository / ".gitlab/fedaudit.yml")["fedaudit"]["variables"]
    for name in ("system", "policy", "trust", "waivers"):
        assert with_[name] == job[name.upper()] == f"models/Süd 2/{name}.toml"
    assert with_["requirement"] == job["REQUIREMENT"] == f"fedaudit=={VERSION}"
    [hook] = read(repository / ".pre-commit-config.yaml")["repos"][0]["hooks"]
    assert "--policy 'models/Süd 2/policy.toml' --trust 'models/Süd 2/trust.toml'" in hook["entry"]
    assert re.search(hook["files"], "models/Süd 2/policy.toml")
    assert not re.search(hook["files"], "policy.toml")


def test_in_the_root_itself_the_templates_stay_as_they_are(repository: Path) -> None:
    assert run(["init", str(repository), "--ci", "github"]) == 0
    assert read(repository / PLACES["github"][0]) == template("action.yml")
    assert run(["init", str(repository), "--ci", "pre-commit"]) == 0
    assert read(repository / ".pre-commit-config.yaml")["repos"] == template("pre-commit.yaml")["repos"]


@pytest.mark.parametrize("service", ["github", "pre-commit"])
def test_nothing_is_overwritten_and_then_nothing_is_written(
    repository: Path, service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    last = repository / PLACES[service][-1]
    last.parent.mkdir(parents=True, exist_ok=True)
    last.write_text("mine")
    assert run(["init", str(repository), "--ci", service]) == 2
    assert "exists already" in capsys.readouterr().err
    assert last.read_text() == "mine"
    assert not (repository / "system.toml").exists()


def test_starters_that_are_there_are_kept(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "system.toml").write_text("mine")
    assert str(repository / "system.toml") not in written(capsys, repository, "--ci", "gitlab")
    assert (repository / "system.toml").read_text() == "mine"


def test_a_pipeline_that_is_there_is_kept_and_the_line_to_add_is_told(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / ".gitlab-ci.yml").write_text("stages: [test]\n")
    assert run(["init", str(repository), "--ci", "gitlab"]) == 0
    assert "Add to .gitlab-ci.yml: include: [{local: .gitlab/fedaudit.yml}]" in capsys.readouterr().out
    assert (repository / ".gitlab-ci.yml").read_text() == "stages: [test]\n"
    assert run(["init", str(repository), "--ci", "gitlab"]) == 2


@pytest.mark.parametrize("name", ["${{ secrets.KEY }}", "a'b", "a\nb", "a: b"])
def test_a_folder_whose_name_a_service_would_read_otherwise_is_refused(
    repository: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", str(repository / name), "--ci", "github"]) == 2
    assert "cannot be written into a CI file" in capsys.readouterr().err
    assert not (repository / ".github").exists()


def test_the_schemas_are_those_that_are_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = written(capsys, tmp_path, "--schemas")
    assert {Path(path).name for path in paths} == {*STARTERS, *(path.name for path in FOLDER.glob("*.json"))}
    for path in (tmp_path / "schema").iterdir():
        assert path.read_bytes() == (FOLDER / path.name).read_bytes()


# --- what the templates may not hold --------------------------------------------------------------------------------


def steps() -> list[dict[str, Any]]:
    return [*template("action.yml")["runs"]["steps"], *template("workflow.yml")["jobs"]["audit"]["steps"]]


def test_no_expression_stands_in_a_script_and_no_failure_is_forgiven() -> None:
    job = template("gitlab.yml")["fedaudit"]
    for script in [*(step.get("run", "") for step in steps()), *job["script"], *job["before_script"]]:
        assert "${{" not in script
        assert "|| true" not in script
    assert "allow_failure" not in job
    assert not [step for step in steps() if "continue-on-error" in step]


def test_a_job_may_read_the_code_and_write_findings_and_nothing_else() -> None:
    workflow = template("workflow.yml")
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["jobs"]["audit"]["permissions"] == {"contents": "read", "security-events": "write"}
    assert "pull_request_target" not in workflow[True]  # YAML 1.1 reads the key `on` as true


def test_the_actions_of_others_are_named_by_commit() -> None:
    used = [step["uses"] for step in steps() if "uses" in step]
    assert len(used) == 4
    assert [name for name in used if not re.search(r"@[0-9a-f]{40}$", name)] == ["./.github/actions/fedaudit"]


def test_findings_are_shown_whatever_the_verdict() -> None:
    [upload] = [step for step in template("action.yml")["runs"]["steps"] if "uses" in step]
    assert upload["if"].startswith("always() &&")
    assert template("gitlab.yml")["fedaudit"]["artifacts"]["when"] == "always"


def test_the_scripts_are_bash(tmp_path: Path) -> None:
    job = template("gitlab.yml")["fedaudit"]
    for script in [*(step.get("run", "") for step in steps()), "\n".join([*job["before_script"], *job["script"]])]:
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
