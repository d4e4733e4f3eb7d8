"""The templates for CI, executed: every script in them runs here as its service would run it.

What the audit itself takes is marked slow; the quick tests put a bundle where the audit would.
"""

import hashlib
import json
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit.cli.main import run
from tests.audit.cli.ci_service import PASSPHRASE, POLICY, REQUIRED, SYSTEM, WAIVER, Github, Project, gitlab, template
from tests.audit.cli.gate_desk import RATE, Desk, finding

INSTALLED = {"requirement": "", "unsigned": "true"}
RULES, AUDIT, JUDGE = "Read the rules from where the change cannot edit them", "Audit", "Judge"
SECTION = "[federation.differential_privacy]"
LEAKY = SYSTEM.replace("epsilon = 3.0", "epsilon = 1.0")
"""Claims less than it spends: dp.accounting fails."""


def waiver_of_today() -> str:
    today = datetime.now(UTC).date()
    return WAIVER.replace("2020-01-01", str(today)).replace("2020-06-01", str(today + timedelta(days=30)))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.at(tmp_path)


def audited(tmp_path: Path, status: str) -> dict[str, Callable[[Path], None]]:
    """Put a bundle in which dp.accounting has this status where the step Audit would have."""
    folder = tmp_path / "desk"
    folder.mkdir()
    desk = Desk(folder)
    reason = "budget" if status == "inconclusive" else ""
    source = hashlib.sha256(SYSTEM.encode()).hexdigest()
    desk.bundle(finding("dp.accounting", status, reason=reason, measurements=(RATE,)), source_sha256=source)

    def put(work: Path) -> None:
        shutil.copytree(desk.folder / "bundle", work / "bundle")

    return {JUDGE: put}


@pytest.mark.parametrize(
    ("status", "code", "verdict"),
    [
        ("fail", 1, "failed"),
        pytest.param("pass", 0, "passed", marks=pytest.mark.slow),
        pytest.param("inconclusive", 3, "incomplete", marks=pytest.mark.slow),
    ],
)
def test_the_verdict_is_the_exit_code_of_the_job(tmp_path: Path, status: str, code: int, verdict: str) -> None:
    project = Project.at(tmp_path, policy=POLICY + (REQUIRED if status == "inconclusive" else ""))
    ran = Github(project, INSTALLED).run((RULES, JUDGE), before=audited(tmp_path, status))
    assert (ran.code, ran.outputs["verdict"]) == (code, verdict), ran.log
    assert ran.work is not None
    log = json.loads(Path(ran.outputs["sarif"]).read_text())
    assert log["runs"][0]["properties"]["verdict"] == verdict
    places = [result["locations"][0]["physicalLocation"] for result in log["runs"][0]["results"]]
    assert {place["region"]["startLine"] for place in places} <= {SYSTEM.splitlines().index(SECTION) + 1}
    assert ran.outputs["report-sha256"] == report_id(ran.work / "bundle")
    assert verdict in ran.summary.lower()


def report_id(bundle: Path) -> str:
    """The id by the third party's recipe: the digest of the payload."""
    line = f"jq -r .payload {bundle}/report.dsse.json | base64 -d | sha256sum | cut -c-64"
    return subprocess.run(["bash", "-c", line], check=True, capture_output=True, text=True).stdout.strip()


def test_a_bundle_that_a_stranger_signed_stops_the_job_with_4_and_shows_nothing(
    project: Project, tmp_path: Path
) -> None:
    signed = {"requirement": "", "subjects": "system.toml"}
    ran = Github(project, signed).run((RULES, JUDGE), before=audited(tmp_path, "pass"))
    assert (ran.code, ran.outputs) == (4, {"verdict": "not-authentic"})


@pytest.mark.slow
def test_a_policy_that_does_not_load_stops_the_job_with_2(tmp_path: Path) -> None:
    project = Project.at(tmp_path, policy="version = 1\n")
    ran = Github(project, INSTALLED).run((RULES, JUDGE), before=audited(tmp_path, "pass"))
    assert (ran.code, ran.outputs) == (2, {"verdict": "error"})


def change_waivers(project: Project) -> None:
    project.change({"waivers.toml": waiver_of_today()})


def change_policy(project: Project) -> None:
    project.change({"policy.toml": POLICY.replace("medium", "critical")})


def change_policy_waivers(project: Project) -> None:
    project.change({"policy.toml": POLICY + waiver_of_today()})


def shadow_the_branch(project: Project) -> None:
    """A tag and a branch that bear the short name of the branch that is protected."""
    change_waivers(project)
    for kind in ("tag", "branch"):
        project.git(kind, "origin/main")


CHANGES = (change_waivers, change_policy, change_policy_waivers, shadow_the_branch)


@pytest.mark.parametrize("change", CHANGES)
def test_the_rules_are_those_of_the_protected_branch(project: Project, change: Callable[[Project], None]) -> None:
    change(project)
    ran = Github(project, INSTALLED).run((RULES,))
    assert ran.work is not None
    assert {path.name: path.read_text() for path in ran.work.iterdir()} == {"policy.toml": POLICY, "waivers.toml": ""}


def test_a_change_cannot_exempt_itself(project: Project, tmp_path: Path) -> None:
    shadow_the_branch(project)
    ran = Github(project, INSTALLED).run((RULES, JUDGE), before=audited(tmp_path, "fail"))
    assert (ran.code, ran.outputs["verdict"]) == (1, "failed"), ran.log


@pytest.mark.slow
def test_the_same_waiver_on_the_protected_branch_excuses(tmp_path: Path) -> None:
    project = Project.at(tmp_path, waivers=waiver_of_today())
    ran = Github(project, INSTALLED).run((RULES, JUDGE), before=audited(tmp_path, "fail"))
    assert (ran.code, ran.outputs["verdict"]) == (0, "passed"), ran.log


@pytest.mark.slow
def test_waivers_can_be_read_from_another_branch(project: Project, tmp_path: Path) -> None:
    project.change({"waivers.toml": waiver_of_today()})
    project.git("push", "--quiet", "origin", "change:release")
    project.git("fetch", "--quiet", "origin")
    given = INSTALLED | {"waivers-ref": "refs/remotes/origin/release"}
    assert Github(project, given).run((RULES, JUDGE), before=audited(tmp_path, "fail")).code == 0


@pytest.mark.parametrize("reference", ["refs/remotes/origin/absent", "--upload-pack=x", "$(touch hacked)"])
def test_a_branch_that_is_not_there_stops_the_job(project: Project, reference: str) -> None:
    ran = Github(project, INSTALLED | {"waivers-ref": reference}).run((RULES,))
    assert ran.code == 2, ran.log
    assert not (project.folder / "hacked").exists()


def test_the_first_change_is_judged_by_its_own_policy(tmp_path: Path) -> None:
    project = Project.at(tmp_path)
    project.git("rm", "--quiet", "policy.toml")
    project.git("commit", "--quiet", "-m", "No policy yet")
    project.git("push", "--quiet", "origin", "main")
    project.change({"policy.toml": POLICY})
    ran = Github(project, INSTALLED).run((RULES,))
    assert ran.code == 0
    assert "has no policy.toml yet" in ran.log
    assert ran.work is not None
    assert (ran.work / "policy.toml").read_text() == POLICY


@pytest.mark.parametrize("service", ["github", "gitlab"])
def test_a_rule_that_git_cannot_read_stops_the_job(project: Project, service: str) -> None:
    """The tree of the protected branch is gone: so git says neither that it holds a policy nor that it does not."""
    tree = project.git("rev-parse", "origin/main^{tree}").strip()
    project.change({"policy.toml": POLICY.replace("medium", "critical")})
    for objects in (project.folder / ".git/objects", project.origin / "objects"):
        (objects / tree[:2] / tree[2:]).unlink(missing_ok=service == "github")
    if service == "github":
        ran = Github(project, INSTALLED).run((RULES,))
    else:
        ran = gitlab(project, {"REQUIREMENT": ""}, template("gitlab.yml")["fedaudit"])
    assert ran.code != 0, ran.log
    assert "by its own" not in ran.log


def test_no_module_that_a_change_brings_along_is_run(project: Project, tmp_path: Path) -> None:
    for name in ("pip", "json"):
        (project.folder / f"{name}.py").write_text("from pathlib import Path\nPath('came-to-run').touch()\n")
    ran = Github(project, INSTALLED | {"requirement": "./no-such-folder"}).run(("Install",))
    assert ran.code != 0, ran.log
    assert gitlab(project, {"REQUIREMENT": "./no-such-folder"}).code != 0
    Github(project, INSTALLED).run((RULES, JUDGE), before=audited(tmp_path, "fail"))
    assert not (project.folder / "came-to-run").exists()


def test_without_a_key_the_audit_does_not_begin(project: Project) -> None:
    ran = Github(project, {"requirement": ""}).run((RULES, AUDIT))
    assert ran.codes[AUDIT] == 2
    assert "no key to sign with" in ran.log


@pytest.mark.slow
def test_what_cannot_be_installed_stops_the_job(project: Project) -> None:
    assert Github(project, {"requirement": ""}).run(("Install",)).code == 0
    assert Github(project, {"requirement": "./no-such-folder"}).run(("Install",)).code != 0


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Path]:
    """A folder whose `fedaudit` notes the key that it is given, its mode and what the environment still holds."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "fedaudit"
    program.write_text(
        '#!/bin/bash\nwhile [ $# -gt 0 ]; do\n  if [ "$1" = --key ]; then stat -c "%a %n" "$2" >>"$HOME/seen"; fi\n'
        '  shift\ndone\nenv | grep -c "BEGIN" >>"$HOME/seen"\nexit 3\n'
    )
    program.chmod(0o755)
    return folder


def test_the_key_is_the_runners_alone_and_gone_even_where_the_audit_breaks_off(
    project: Project, watched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = {"key": project.key.read_text(), "passphrase": PASSPHRASE, "requirement": ""}
    everything = project.environment
    monkeypatch.setattr(
        Project, "environment", property(lambda self: everything | {"PATH": f"{watched}:{everything['PATH']}"})
    )
    ran = Github(project, secret).run((RULES, AUDIT))
    assert ran.codes[AUDIT] == 3
    mode, where = (project.home / "seen").read_text().splitlines()[0].split(" ", 1)
    assert mode == "600"
    assert not Path(where).exists()
    assert (project.home / "seen").read_text().splitlines()[1] == "0"
    ran = gitlab(project, {"REQUIREMENT": "", "FEDAUDIT_KEY": str(project.key)}, without_version())
    assert ran.code == 3
    mode, where = (project.home / "seen").read_text().splitlines()[2].split(" ", 1)
    assert mode == "600"
    assert not Path(where).exists()
    assert stat.S_IMODE(project.key.stat().st_mode) == 0o600


def without_version() -> dict[str, Any]:
    job = template("gitlab.yml")["fedaudit"]
    return job | {"before_script": job["before_script"][:1]}


# --- everything, with the audit -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("service", ["github", "gitlab"])
@pytest.mark.parametrize(
    ("system", "change", "code"), [(SYSTEM, None, 0), (LEAKY, change_waivers, 1), (LEAKY, shadow_the_branch, 1)]
)
def test_a_whole_job_signs_judges_and_stops(
    tmp_path: Path, service: str, system: str, change: Callable[[Project], None] | None, code: int
) -> None:
    project = Project.at(tmp_path, system=system)
    if change:
        change(project)
    if service == "github":
        secret = {"key": project.key.read_text(), "passphrase": PASSPHRASE, "subjects": "\nsystem.toml\n"}
        ran = Github(project, secret | {"requirement": "", "effort": "smoke"}).run()
        assert ran.outputs["verdict"] == {0: "passed", 1: "failed"}[code], ran.log
        assert ran.work is not None
        assert ran.outputs["report-sha256"] == report_id(ran.work / "bundle")
        assert not list(ran.work.rglob("*.pem"))
    else:
        secret = {"FEDAUDIT_KEY": str(project.key), "FEDAUDIT_KEY_PASSWORD": PASSPHRASE}
        (project.folder / "fedaudit-junit.xml").symlink_to(project.folder / "policy.toml")
        ran = gitlab(project, secret | {"REQUIREMENT": "", "EFFORT": "smoke"})
        assert "<testsuites" in (project.folder / "fedaudit-junit.xml").read_text()
        assert (project.folder / "policy.toml").read_text() == POLICY
        assert not list((tmp_path / "temp").rglob("*.pem"))
    assert ran.code == code, ran.log
    assert "authentic" in ran.log


@pytest.mark.slow
def test_pre_commit_stops_a_policy_that_does_not_load(tmp_path: Path) -> None:
    project = Project.at(tmp_path)
    assert run(["init", str(project.folder), "--ci", "pre-commit"]) == 0
    project.git("add", "--all")
    line = ["python", "-m", "pre_commit", "run", "--all-files"]

    def hook() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            line, cwd=project.folder, env=project.environment, capture_output=True, text=True, check=False
        )

    sound = hook()
    assert sound.returncode == 0, sound.stdout + sound.stderr
    assert "Passed" in sound.stdout
    (project.folder / "policy.toml").write_text(POLICY + 'fail_on = "hihg"\n')
    project.git("add", "--all")
    broken = hook()
    assert broken.returncode == 1
    assert "policy.toml" in broken.stdout
