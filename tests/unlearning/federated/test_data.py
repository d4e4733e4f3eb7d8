from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from unlearning.errors import FederationFileError, ModelError
from unlearning.federated.data import ClientData, load_federation
from unlearning.federated.training import train

DECLARED = """
schema = "fedaudit.federation/1"
[data]
train = "train.npz"
test = "test.npz"
[model]
architecture = "mlp"
hidden = 6
classes = 3
[training]
rounds = 2
batch_size = 4
learning_rate = 0.1
seed = 7
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A federation of three clients, the second of which holds nothing."""
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=20)
    owner = np.repeat([0, 2], 10)
    np.savez(tmp_path / "train.npz", x=rng.random((20, 2, 2)).astype(np.float32), y=y, client=owner)
    np.savez(tmp_path / "test.npz", x=rng.random((5, 2, 2)).astype(np.float32), y=y[:5])
    (tmp_path / "federation.toml").write_text(DECLARED)
    return tmp_path


def rewrite(folder: Path, old: str, new: str) -> None:
    file = folder / "federation.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_folder_is_read_as_it_was_written(folder: Path) -> None:
    loaded = load_federation(folder)
    assert [len(client) for client in loaded.data.clients] == [10, 0, 10]
    written = np.load(folder / "train.npz")
    assert torch.equal(loaded.data.clients[2].x, torch.from_numpy(written["x"][10:]))
    assert torch.equal(loaded.data.clients[0].y, torch.from_numpy(written["y"][:10]))
    assert loaded.data.holdout is None
    assert (loaded.recipe.rounds, loaded.recipe.local_epochs, loaded.recipe.seed) == (2, 1, 7)
    assert train(loaded).rounds == 2
    assert torch.equal(load_federation(folder / "federation.toml").data.test.x, loaded.data.test.x)


def test_the_owners_model_runs_only_when_trusted(folder: Path) -> None:
    (folder / "model.py").write_text(
        "from torch import nn\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))\n"
    )
    rewrite(folder, 'architecture = "mlp"', 'architecture = "definition"\ndefinition = "model.py:build"')
    with pytest.raises(ModelError, match="--trust-code"):
        load_federation(folder)
    assert train(load_federation(folder, trust_code=True)).parameters["1.weight"].shape == (3, 4)


@pytest.mark.parametrize(
    ("old", "new", "said", "mend"),
    [
        ("rounds = 2", "round = 2", "training.round", "'rounds'"),
        ("rounds = 2", "rounds = 0", "training.rounds", ""),
        ("rounds = 2", 'rounds = "2"', "training.rounds", ""),
        ("rounds = 2\n", "", "training.rounds", "Add"),
        ("learning_rate = 0.1", "learning_rate = inf", "training.learning_rate", ""),
        ("hidden = 6", 'definition = "model.py:build"', "model", ""),
        ('"mlp"', '"mpl"', "model.architecture", "'mlp'"),
        ('"mlp"', '"cnn"', "at least 12 x 12", "mlp"),
        ("federation/1", "federation/2", "schema", ""),
        ('"test.npz"', '"../test.npz"', "data.test", ""),
        ('"test.npz"', '"/etc/passwd"', "data.test", ""),
        ('"test.npz"', '"tset.npz"', "data.test: there is no file 'tset.npz'", "data.test"),
        ("[training]", "[training", "federation.toml", ""),
        ("classes = 3", "classes = 2", "data.train: y of 'train.npz' reaches from 0 to 2", "from 0 to 1"),
    ],
)
def test_a_slip_in_the_file_is_named_with_its_mend(folder: Path, old: str, new: str, said: str, mend: str) -> None:
    rewrite(folder, old, new)
    with pytest.raises((FederationFileError, ModelError)) as caught:
        load_federation(folder)
    assert said in caught.value.message
    assert mend in caught.value.hint
    assert caught.value.exit_code == 2


Arrays = dict[str, np.ndarray]


def with_nan(arrays: Arrays) -> None:
    arrays["x"][3, 0, 0] = np.nan


def negative_label(arrays: Arrays) -> None:
    arrays["y"][0] = -1


def too_few_labels(arrays: Arrays) -> None:
    arrays["y"] = arrays["y"][:-1]


def negative_client(arrays: Arrays) -> None:
    arrays["client"][0] = -1


def no_client(arrays: Arrays) -> None:
    del arrays["client"]


def objects(arrays: Arrays) -> None:
    arrays["y"] = arrays["y"].astype(object)


def floats(arrays: Arrays) -> None:
    arrays["y"] = arrays["y"].astype(float)


def flat(arrays: Arrays) -> None:
    arrays["x"] = arrays["x"][:, 0, 0]


def nothing(arrays: Arrays) -> None:
    arrays.update({name: array[:0] for name, array in arrays.items()})


def another_shape(arrays: Arrays) -> None:
    arrays["x"] = arrays["x"][:, :, :1]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (with_nan, "x of 'train.npz' holds NaN or infinity"),
        (negative_label, "y of 'train.npz' reaches from -1 to 2"),
        (too_few_labels, "has 20 examples, 19 labels and 20 clients"),
        (negative_client, "client of 'train.npz' reaches from -1 to 2"),
        (no_client, "lacks the array 'client'"),
        (objects, "train.npz"),
        (floats, "type float64"),
        (flat, "x of 'train.npz' has shape (20,)"),
        (nothing, "x of 'train.npz' has shape (0, 2, 2)"),
        (another_shape, "data.test: its examples have shape (2, 2), in data.train (2, 1)"),
    ],
)
def test_spoilt_data_are_refused_with_file_and_key(folder: Path, spoil: Callable[[Arrays], None], said: str) -> None:
    arrays = dict(np.load(folder / "train.npz"))
    spoil(arrays)
    np.savez(folder / "train.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(FederationFileError) as caught:
        load_federation(folder)
    assert said in caught.value.message
    assert caught.value.message.startswith("federation.toml: data.")
    assert caught.value.hint


def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "test.npz"
    (folder / "test.npz").rename(elsewhere)
    (folder / "test.npz").symlink_to(elsewhere)
    with pytest.raises(FederationFileError, match="outside"):
        load_federation(folder)


def test_labels_must_match_the_examples() -> None:
    with pytest.raises(ValueError, match="3 examples have labels of shape"):
        ClientData(torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64))
