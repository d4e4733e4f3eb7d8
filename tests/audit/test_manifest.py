"""Every slip in a system file is one sentence that names the file, the key and the mend; nothing in it is executed."""

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from audit.manifest import LARGEST_FILE, load_system
from reports.errors import FedauditError, SystemFileError

HEAD = '[system]\nname = "ward-triage"\nversion = "1"\n'


def written(folder: Path, text: str) -> Path:
    file = folder / "system.toml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file({"0.weight": np.zeros((2, 3), np.float32)}, tmp_path / "model.safetensors")
    np.savez(tmp_path / "truth.npz", x=np.zeros((1, 3), np.float32), y=np.zeros(1, np.int64))
    (tmp_path / "layers.json").write_text(json.dumps([{"type": "Linear", "in_features": 3, "out_features": 2}]))
    (tmp_path / "model.py").write_text("raise SystemExit('the definition was executed')\n")
    return tmp_path


def test_the_least_system_file_is_enough(folder: Path) -> None:
    file = written(folder, HEAD)
    loaded = load_system(file)
    assert (loaded.system.name, loaded.system.roles, loaded.system.model) == ("ward-triage", ("provider",), None)
    assert loaded.system.source.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert loaded.folder == folder


def test_every_path_becomes_an_artifact_by_digest(folder: Path) -> None:
    text = (
        HEAD
        + '[model]\ncheckpoint = "model.safetensors"\nlayers = "layers.json"\ninput_shape = [3]\n'
        + '[[updates]]\npath = "model.safetensors"\nkind = "gradient"\ntruth = "truth.npz"\n'
        + '[[unlearning]]\nid = "r"\nkind = "client"\noracles = ["model.safetensors"]\n'
        + f'[digests]\n"truth.npz" = "{"0" * 64}"\n'
    )
    loaded = load_system(written(folder, text))
    assert loaded.system.model is not None and loaded.system.model.checkpoint is not None
    checkpoint = loaded.system.model.checkpoint
    data = (folder / "model.safetensors").read_bytes()
    assert (checkpoint.sha256, checkpoint.size) == (hashlib.sha256(data).hexdigest(), len(data))
    kinds = [a.kind for a in (checkpoint, loaded.system.updates[0].path, loaded.system.unlearning[0].oracles[0])]
    assert kinds == ["model.checkpoint", "updates.path", "unlearning.oracles"]
    assert loaded.expected_digests == {"truth.npz": "0" * 64}


def test_a_definition_is_hashed_and_not_executed(folder: Path) -> None:
    loaded = load_system(written(folder, HEAD + '[model]\ndefinition = "model.py:build"\n'))
    assert loaded.system.model is not None and loaded.system.model.definition is not None
    assert (loaded.system.model.definition.function, loaded.system.model.definition.file.path) == ("build", "model.py")


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("name = [", "system.syntax", ("system.toml", "Mend the TOML")),
        ('name = "x"\n', "system.value", ("system: is missing", "[system]")),
        ("[system]\nversion = '1'\n", "system.missing_key", ("system.name", "missing")),
        (HEAD + "[federaton]\nclients = 3\n", "system.unknown_key", ("federaton", "'federation'")),
        (HEAD + "provder = 'x'\n", "system.unknown_key", ("system.provder", "'provider'")),
        (HEAD + "[federation]\nclient = 3\n", "system.unknown_key", ("federation.client", "'clients'")),
        (HEAD + "[federation]\nclients = '3'\n", "system.value", ("federation.clients", "integer", "'3'")),
        (HEAD + "[federation]\nclients = 0\n", "system.value", ("federation.clients", "greater", "0")),
        (HEAD + "[federation]\nlearning_rate = nan\n", "system.value", ("federation.learning_rate", "finite")),
        (HEAD + "[federation]\nvisibility = 'all'\n", "system.value", ("federation.visibility", "aggregate")),
        (HEAD + "[federation.secure_aggregation]\nsigned_keys = 'no'\n", "system.value", ("signed_keys", "boolean")),
        (HEAD + "[claims]\ndelta = 1.5\n", "system.value", ("claims.delta", "less than 1")),
        (HEAD + "[source]\npath = 'x'\n", "system.unknown_key", ("source",)),
        (HEAD + "[system.model]\n", "system.unknown_key", ("system.model",)),
        (HEAD + "placed_on_market = '2026-1-1'\n", "system.value", ("system.placed_on_market", "YYYY-MM-DD")),
        (
            HEAD + "[model]\ncheckpoint = 'modl.safetensors'\n",
            "system.not_found",
            ("model.checkpoint", "'model.safeten"),
        ),
        (HEAD + "[model]\ncheckpoint = '../x.safetensors'\n", "system.outside", ("model.checkpoint", "outside")),
        (HEAD + "[model]\ncheckpoint = '/etc/passwd'\n", "system.outside", ("model.checkpoint", "outside")),
        (HEAD + "[model]\ncheckpoint = 3\n", "system.value", ("model.checkpoint", "3 is no path")),
        (HEAD + "[model]\ndefinition = 'model.py'\n", "system.value", ("model.definition", "model.py:build")),
        (HEAD + "[[updates]]\nkind = 'gradient'\n", "system.missing_key", ("updates[0].path", "missing")),
        (
            HEAD + "[[updates]]\npath = 'model.safetensors'\nkind = 'x'\n",
            "system.value",
            ("updates[0].kind", "delta"),
        ),
        (HEAD + "[updates]\npath = 'model.safetensors'\n", "system.value", ("updates",)),
        (HEAD + "[digests]\n'a' = 'xyz'\n", "system.value", ("digests.'a'", "SHA-256")),
        (HEAD + 2 * "[[unlearning]]\nid = 'r'\nkind = 'client'\n", "system.value", ("unlearning[1].id", "twice")),
    ],
)
def test_a_slip_is_named_with_its_mend(folder: Path, text: str, code: str, words: tuple[str, ...]) -> None:
    load_system(written(folder, HEAD))  # the twin without the slip loads
    with pytest.raises(SystemFileError) as caught:
        load_system(written(folder, text))
    assert caught.value.code == code
    assert caught.value.exit_code == 2
    assert "system.toml: " in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.json"
    secret.write_text("{}")
    (folder / "inside.json").symlink_to(secret)
    with pytest.raises(SystemFileError, match="outside"):
        load_system(written(folder, HEAD + "[model]\nlayers = 'inside.json'\n"))


class Bomb:
    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (Path.write_text, (self.sentinel, "it ran"))  # type: ignore[return-value]


@pytest.mark.parametrize("name", ["model.pt", "model.pkl", "model.safetensors", "model.npz"])
def test_a_pickle_is_refused_whatever_its_name_and_nothing_in_it_runs(folder: Path, name: str) -> None:
    sentinel = folder / "ran"
    (folder / name).write_bytes(pickle.dumps(Bomb(sentinel)))
    with pytest.raises(SystemFileError) as caught:
        load_system(written(folder, HEAD + f"[model]\ncheckpoint = '{name}'\n"))
    assert "model.checkpoint" in str(caught.value)
    assert not sentinel.exists()


def test_what_is_no_system_file_is_told(folder: Path) -> None:
    with pytest.raises(SystemFileError, match="no such file"):
        load_system(folder / "absent.toml")
    with pytest.raises(SystemFileError, match="no such file"):
        load_system(folder)
    (folder / "system.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SystemFileError, match="UTF-8"):
        load_system(folder / "system.toml")
    (folder / "system.toml").write_bytes(b"#" * (LARGEST_FILE + 1))
    with pytest.raises(SystemFileError, match="4 MiB"):
        load_system(folder / "system.toml")


@pytest.mark.parametrize("depth", [50, 5000])
def test_nesting_ends_in_a_sentence(folder: Path, depth: int) -> None:
    with pytest.raises(FedauditError):
        load_system(written(folder, HEAD + "x = " + "[" * depth + "]" * depth + "\n"))
