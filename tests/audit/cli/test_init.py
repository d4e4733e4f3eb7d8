"""What `fedaudit init` writes: it works as it stands, and every commented setting is one that the readers know."""

import json
import re
import subprocess
import sys
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import numpy as np
import pytest
from safetensors.numpy import save_file

from audit.cli.main import run
from audit.manifest import load_system
from reports.keyfile import write_key_pair
from reports.keys import generate
from reports.model import Artifact, Definition, Noun, System
from reports.policy import Policy, load_policy
from reports.trust import KeyEntry, TrustFile, load_trust
from tests.reports.authority import TSA

NAMES = ("system.toml", "policy.toml", "trust.toml")
SECTION = re.compile(r"^#(?=[A-Za-z\[\"])", re.MULTILINE)


def uncommented(path: Path) -> str:
    """The file with every setting in force, as its first lines say: '#' without a blank is removed."""
    return SECTION.sub("", path.read_text(encoding="utf-8"))


def nouns_in(annotation: Any) -> Iterator[type[Noun]]:
    """The nouns that a field may hold."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType, tuple):
        for one in get_args(annotation):
            yield from nouns_in(one)
    elif origin is Annotated:
        yield from nouns_in(get_args(annotation)[0])
    elif isinstance(annotation, type) and issubclass(annotation, Noun):
        yield annotation


def keys_of(noun: type[Noun], at: str = "") -> Iterator[str]:
    """Every key that a file of this noun may hold, as a path; a file stands for its digest."""
    for name, field in noun.model_fields.items():
        yield f"{at}{name}"
        for below in nouns_in(field.annotation):
            if below not in (Artifact, Definition):
                yield from keys_of(below, f"{at}{name}.")


def keys_in(table: Any, at: str = "") -> Iterator[str]:
    """Every key that is written in a TOML table, as a path without positions."""
    if isinstance(table, list):
        for entry in table:
            yield from keys_in(entry, at)
    elif isinstance(table, dict):
        for name, value in table.items():
            yield f"{at}{name}"
            yield from keys_in(value, f"{at}{name}.")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder after `fedaudit init`."""
    folder = tmp_path / "ward"
    assert run(["init", str(folder)]) == 0
    return folder


def test_three_files_are_written_and_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "deep" / "ward"
    assert run(["init", str(folder), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["written"] == [str(folder / name) for name in NAMES]
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_overwritten_and_then_nothing_is_written(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("mine")
    assert run(["init", str(tmp_path)]) == 2
    assert f"{name}: exists already" in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


@pytest.mark.parametrize("below", ["file", "file/folder"])
def test_a_file_is_no_folder(below: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    assert run(["init", str(tmp_path / below)]) == 2
    assert "is no folder" in capsys.readouterr().err


def test_the_system_loads_as_it_stands_under_the_folders_name(written: Path) -> None:
    system = load_system(written / "system.toml").system
    assert (system.name, system.version) == ("ward", "1")
    assert system.federation is None
    assert system.model is None


@pytest.mark.parametrize("name", ['a "quoted" name', "back\\slash", "Krankenhaus Süd", "x" * 250, "tab\there"])
def test_any_folder_gives_a_name_that_loads(name: str, tmp_path: Path) -> None:
    assert run(["init", str(tmp_path / name)]) == 0
    expected = name if len(name) <= 200 and name.isprintable() else "my-system"
    assert load_system(tmp_path / name / "system.toml").system.name == expected


def test_a_dangling_link_counts_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "trust.toml").symlink_to(tmp_path / "elsewhere")
    assert run(["init", str(tmp_path)]) == 2
    assert not (tmp_path / "elsewhere").exists()


def test_what_was_written_runs_and_an_empty_system_passes_no_gate(written: Path, tmp_path: Path) -> None:
    bundle, policy = tmp_path / "bundle", written / "policy.toml"
    asked = ["--only", "secagg.*", "--only", "integrity.artifacts", "--policy", str(policy), "--no-render"]
    assert run(["run", str(written / "system.toml"), "-o", str(bundle), *asked]) == 0
    assert run(["gate", str(bundle), "--policy", str(policy), "--unsigned"]) == 3


def test_the_policy_loads_as_it_stands_and_with_every_setting(written: Path) -> None:
    policy = load_policy(written / "policy.toml")
    assert policy.fail_on == "medium"
    full = written / "full.toml"
    full.write_text(uncommented(written / "policy.toml"), encoding="utf-8")
    assert set(keys_in(tomllib.loads(full.read_text()))) >= set(keys_of(Policy))
    assert len(load_policy(full).waivers) == 1


def test_the_trust_file_trusts_nobody_until_a_key_is_listed(written: Path) -> None:
    trust = load_trust(written / "trust.toml")
    assert trust.keys == ()
    assert trust.require == {"auditor": 1}
    write_key_pair(written / "auditor.key", generate("ed25519"), None)
    full = written / "full.toml"
    full.write_text(uncommented(written / "trust.toml"), encoding="utf-8")
    (written / "tsa.pem").write_bytes(TSA.pem)
    full_trust = load_trust(full)
    [key] = full_trust.keys
    assert (key.role, key.revoked_reason) == ("auditor", "retired")
    assert [authority.name for authority in full_trust.authorities] == ["CN=Test TSA"]
    known = {*TrustFile.model_fields, *(f"keys.{name}" for name in KeyEntry.model_fields)}
    assert set(keys_in(tomllib.loads(full.read_text()))) >= known - {"keys.public_key_pem"}


def test_every_section_and_key_of_a_system_file_is_there_and_loads(written: Path) -> None:
    full = written / "full.toml"
    full.write_text(uncommented(written / "system.toml"), encoding="utf-8")
    table = tomllib.loads(full.read_text())
    known = {key if "." in key or key in table else f"system.{key}" for key in keys_of(System)}
    assert set(keys_in(table)) >= known - {"system.source"}
    assert table["digests"]
    for path in paths_in(table):
        put(written / path)
    system = load_system(full).system
    assert system.federation is not None
    assert system.federation.secure_aggregation is not None
    assert len(system.updates) == 2


def paths_in(table: Any) -> set[str]:
    """The paths that a system file names: every string that looks like one, the definition without its function."""
    found: set[str] = set()
    for value in table.values() if isinstance(table, dict) else table:
        if isinstance(value, dict | list):
            found |= paths_in(value)
        elif isinstance(value, str) and re.fullmatch(r"[\w/.-]+\.(safetensors|npz|jsonl?|md|py)(:\w+)?", value):
            found.add(value.partition(":")[0])
    return found | ({"secagg/round-0001"} if isinstance(table, dict) and "federation" in table else set())


def put(path: Path) -> None:
    """A small sound file of the kind that the suffix says; a folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".safetensors":
            save_file({"weight": np.zeros((2, 2), dtype=np.float32)}, path)
        case ".npz":
            np.savez(path, x=np.zeros((1, 2), dtype=np.float32))
        case ".json" | ".jsonl":
            path.write_text("{}\n")
        case "":
            path.mkdir()
            (path / "transcript.jsonl").write_text("{}\n")
        case _:
            path.write_text("text\n")


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    folder = tmp_path / "ward"
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));"
        "from audit.cli.main import run; sys.exit(run(['init', sys.argv[1]]))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert list(folder.iterdir()) == []


def test_it_needs_neither_numbers_nor_renderers(tmp_path: Path) -> None:
    program = (
        "import sys; from audit.cli.main import run; code = run(['init', sys.argv[1]]);"
        "sys.exit(code or bool({'numpy', 'torch', 'scipy', 'jinja2', 'rich'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, check=False).returncode == 0
    )
