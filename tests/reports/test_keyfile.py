"""Key files: owner alone, never over another, whole or not there."""

import hashlib
import stat
from pathlib import Path

import pytest

from reports.errors import KeyFileError
from reports.keyfile import read_private_key, read_public_key, readable_by_others, write_key_pair
from reports.keys import generate
from reports.pkcs8 import ITERATIONS, encrypt_pkcs8
from tests.reports.conformance.world import AUDITOR

PASSPHRASE = b"correct horse battery"


def test_a_pair_is_written_and_read_again(tmp_path: Path) -> None:
    key = generate("ed25519")
    files = write_key_pair(tmp_path / "k", key, PASSPHRASE)
    assert files.public == tmp_path / "k.pub"
    assert stat.S_IMODE(files.private.stat().st_mode) == 0o600
    assert not readable_by_others(files.private)
    assert readable_by_others(files.public)
    assert read_private_key(files.private, lambda: PASSPHRASE).public == read_public_key(files.public) == key.public
    with pytest.raises(KeyFileError, match="passphrase"):
        read_private_key(files.private, lambda: b"another passphrase")


@pytest.mark.parametrize("there", ["k", "k.pub"])
def test_neither_half_is_ever_overwritten(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("precious")
    with pytest.raises(KeyFileError) as refusal:
        write_key_pair(tmp_path / "k", AUDITOR, None)
    assert refusal.value.code == "key.exists"
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "precious"


def test_a_link_that_leads_nowhere_counts_as_there(tmp_path: Path) -> None:
    (tmp_path / "k").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError, match="exists"):
        write_key_pair(tmp_path / "k", AUDITOR, None)
    assert not (tmp_path / "elsewhere").exists()


def test_a_short_passphrase_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError) as refusal:
        write_key_pair(tmp_path / "k", AUDITOR, b"12345678901")
    assert refusal.value.code == "key.passphrase"
    assert "12345678901" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_the_entropy_that_is_handed_in_is_salt_and_start(tmp_path: Path) -> None:
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return bytes(range(size))

    sealed = encrypt_pkcs8(AUDITOR.to_der(), PASSPHRASE, entropy)
    assert asked == [16, 16]
    assert sealed.count(bytes(range(16))) == 2
    assert AUDITOR.to_der() not in sealed


def test_pbkdf2_runs_600_000_times() -> None:
    assert ITERATIONS == 600_000
    sealed = encrypt_pkcs8(AUDITOR.to_der(), PASSPHRASE, bytes)
    assert bytes.fromhex("0203") + ITERATIONS.to_bytes(3, "big") in sealed  # a DER integer
    assert hashlib.pbkdf2_hmac("sha256", PASSPHRASE, bytes(16), 1) not in sealed


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError) as refusal:
        read_public_key(tmp_path / "gone.pub")
    assert refusal.value.code == "key.not_found"
    assert "gone.pub" in refusal.value.message
