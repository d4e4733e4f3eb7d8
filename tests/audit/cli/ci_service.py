"""Small stand-ins for GitHub's and GitLab's runners: they run the scripts of our templates as the services do.

What they leave out: containers, the actions of others, and the network. A repository has a bare origin, whose branch
`main` holds the rules, and a change on a branch of its own.
"""

import functools
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from reports.keyfile import write_key_pair
from reports.keys import generate

BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
"""How GitHub runs a step with `shell: bash`, and GitLab its script."""
EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")
PASSPHRASE = "correct horse battery"
SYSTEM = """[system]
name = "ward"
version = "1"
[federation.differential_privacy]
unit = "example"
noise_multiplier = 1.0
sampling = "poisson"
sampling_rate = 0.01
steps = 1000
epsilon = 3.0
delta = 1e-5
"""
POLICY = 'version = 1\nname = "house"\nfail_on = "medium"\n'
REQUIRED = '[[require]]\ncheck = "dp.accounting"\n'
TRUST = """version = 1
[require]
auditor = 1
[[keys]]
name = "The pipeline"
role = "auditor"
public_key = "pipeline.key.pub"
"""
WAIVER = """[[waivers]]
id = "W-1"
check = "dp.accounting"
system = "ward"
reason = "A change that would like to excuse itself."
owner = "me@example.org"
approved_by = "also-me@example.org"
created = 2020-01-01
expires = 2020-06-01
"""


@functools.cache
def pipeline_key() -> tuple[bytes, bytes]:
    """The encrypted private key of the pipeline, and its public half; made once, as encrypting takes its time."""
    with tempfile.TemporaryDirectory() as folder:
        made = write_key_pair(Path(folder) / "pipeline.key", generate("ed25519"), PASSPHRASE.encode())
        return made.private.read_bytes(), made.public.read_bytes()


def template(name: str) -> dict[str, Any]:
    """A template as YAML readers see it."""
    return dict(yaml.safe_load((files("reports") / "ci" / name).read_text(encoding="utf-8")))


@dataclass
class Project:
    """A repository with its origin; `folder` is checked out."""

    folder: Path
    origin: Path
    home: Path

    @classmethod
    def at(cls, place: Path, system: str = SYSTEM, policy: str = POLICY, waivers: str = "") -> "Project":
        """A project whose branch `main` holds the files given."""
        made = cls(place / "project", place / "origin.git", place / "home")
        for folder in (made.folder, made.home):
            folder.mkdir(parents=True)
        made.git("init", "--quiet", "--bare", "--initial-branch=main", str(made.origin))
        made.git("init", "--quiet", "--initial-branch=main")
        made.git("remote", "add", "origin", str(made.origin))
        private, public = pipeline_key()
        made.key.touch(mode=0o600)
        made.key.write_bytes(private)
        texts = {"system.toml": system, "policy.toml": policy, "trust.toml": TRUST}
        texts["pipeline.key.pub"] = public.decode()
        made.commit(texts | ({"waivers.toml": waivers} if waivers else {}))
        made.git("push", "--quiet", "origin", "main")
        made.git("fetch", "--quiet", "origin")
        return made

    @property
    def key(self) -> Path:
        """The private key of the pipeline."""
        return self.folder.parent / "pipeline.key"

    @property
    def environment(self) -> dict[str, str]:
        """What every process sees: nothing of the machine's own settings."""
        return {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "OMP_NUM_THREADS": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "A",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "A",
            "GIT_COMMITTER_EMAIL": "a@example.org",
        }

    def git(self, *arguments: str) -> str:
        """What git says."""
        line = ["git", *arguments]
        return subprocess.run(
            line, cwd=self.folder, env=self.environment, check=True, capture_output=True, text=True
        ).stdout

    def commit(self, texts: Mapping[str, str]) -> None:
        """Write and commit files."""
        for name, text in texts.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", "Change")

    def change(self, texts: Mapping[str, str]) -> None:
        """Commit files on a branch of their own, as a change under review does."""
        self.git("switch", "--quiet", "-c", "change")
        self.commit(texts)


@dataclass
class Ran:
    """What a job did."""

    codes: dict[str, int]
    """Exit code by step; a step that did not run is not there."""
    outputs: dict[str, str]
    """Of the gate."""
    summary: str
    """The step summary."""
    log: str
    """What was said, on both streams."""
    work: Path | None = None
    """The folder of the job."""

    @property
    def code(self) -> int:
        """The exit code that stopped the job, 0 if nothing did."""
        return next((code for code in self.codes.values() if code), 0)


@dataclass
class Github:
    """GitHub's runner, for the composite action alone."""

    project: Project
    given: Mapping[str, str] = field(default_factory=dict)
    base_ref: str = "main"
    document: dict[str, Any] = field(default_factory=lambda: template("action.yml"))

    def run(self, steps: Sequence[str] = (), *, before: Mapping[str, Any] | None = None) -> Ran:
        """Run the steps that have a script (those named, else all), and stop where one fails.

        `before` holds callables by the name of the step that they come before; each is given the folder of the job.
        """
        temp = self.project.folder.parent / "temp"
        temp.mkdir(exist_ok=True)
        summary = temp / "summary.md"
        summary.touch()
        outputs: dict[str, dict[str, str]] = {}
        ran = Ran({}, {}, "", "")
        for number, step in enumerate(self.document["runs"]["steps"]):
            if "run" not in step or (steps and step["name"] not in steps):
                continue
            work = outputs.get("rules", {}).get("work")
            if before and step["name"] in before:
                before[step["name"]](Path(str(work)))
            written = temp / f"output-{number}"
            written.touch()
            own = {name: self._value(text, outputs) for name, text in step.get("env", {}).items()}
            environment = self.project.environment | own
            environment |= {
                "RUNNER_TEMP": str(temp),
                "GITHUB_OUTPUT": str(written),
                "GITHUB_STEP_SUMMARY": str(summary),
            }
            script = temp / f"step-{number}.sh"
            script.write_text(step["run"])
            done = subprocess.run(
                [*BASH, str(script)],
                cwd=self.project.folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            outputs[step.get("id", "")] = dict(line.split("=", 1) for line in written.read_text().splitlines())
            ran.codes[step["name"]] = done.returncode
            ran.log += done.stdout + done.stderr
            if done.returncode:
                break
        ran.outputs, ran.summary = outputs.get("gate", {}), summary.read_text()
        work = outputs.get("rules", {}).get("work")
        ran.work = Path(work) if work else None
        return ran

    def _value(self, text: str, outputs: Mapping[str, Mapping[str, str]]) -> str:
        def one(found: re.Match[str]) -> str:
            match found[1].split("."):
                case ["inputs", name]:
                    return self.given.get(name, self.document["inputs"][name]["default"])
                case ["steps", step, "outputs", name]:
                    return outputs.get(step, {}).get(name, "")
            assert found[1] == "github.base_ref || github.event.repository.default_branch"
            return self.base_ref

        return EXPRESSION.sub(one, text)


def gitlab(project: Project, given: Mapping[str, str], job: Mapping[str, Any] | None = None) -> Ran:
    """Run the job of gitlab.yml as one script, as GitLab's runner does."""
    job = job or template("gitlab.yml")["fedaudit"]
    temp = project.folder.parent / "temp"
    temp.mkdir(exist_ok=True)
    variables = {name: str(value) for name, value in job["variables"].items()} | dict(given)
    environment = project.environment | variables
    environment |= {"CI_DEFAULT_BRANCH": "main", "CI_PROJECT_DIR": str(project.folder), "TMPDIR": str(temp)}
    script = temp / "job.sh"
    script.write_text("\n".join([*job["before_script"], *job["script"]]) + "\n")
    done = subprocess.run(
        [*BASH, str(script)], cwd=project.folder, env=environment, capture_output=True, text=True, check=False
    )
    return Ran({"job": done.returncode}, {}, "", done.stdout + done.stderr)
