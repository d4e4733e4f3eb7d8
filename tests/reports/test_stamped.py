"""What the reply beside a file proves: nothing, unless everything about it is right and somebody listed its author."""

import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reports.errors import TrustError
from reports.stamped import Stamp, stamp_beside
from tests.reports.authority import TSA
from tests.reports.openssl_authority import STAMPER, OpensslAuthority

AT = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
CONTENT = b"limit = 0.01\n"
REPLY = TSA.reply(CONTENT, AT)
TRUST = """version = 1
[require]
auditor = 1
[[timestamp_authorities]]
certificate = "tsa.pem"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A stamped file, beside a trust file that lists the authority."""
    for name, data in {"file": CONTENT, "file.tsr": REPLY, "tsa.pem": TSA.pem, "trust.toml": TRUST.encode()}.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path / "file"


def asked(file: Path, content: bytes = CONTENT) -> Stamp:
    return stamp_beside(file, content, file.with_name("trust.toml"))


def test_a_listed_authority_s_reply_proves_the_moment(file: Path) -> None:
    assert asked(file) == Stamp(AT, "", REPLY)


def test_openssl_makes_query_and_reply_as_the_docstring_says(file: Path, tmp_path: Path) -> None:
    (tmp_path / "tsa").mkdir()
    query = "openssl ts -query -data file -sha256 -out file.tsq"
    subprocess.run(query.split(), cwd=tmp_path, check=True, capture_output=True)
    file.with_name("file.tsr").write_bytes(
        OpensslAuthority(tmp_path / "tsa").reply((tmp_path / "file.tsq").read_bytes())
    )
    (tmp_path / "tsa.pem").write_bytes(STAMPER.pem)
    found = asked(file)
    assert found.doubt == ""
    assert found.moment is not None


def swap(make: Callable[[Path], object]) -> Callable[[Path], None]:
    """Something else in place of the reply."""

    def exchange(file: Path) -> None:
        place = file.with_name("file.tsr")
        place.unlink()
        make(place)

    return exchange


@pytest.mark.parametrize(
    ("tamper", "doubt"),
    [
        (lambda file: file.with_name("file.tsr").unlink(), ""),  # there is none: nothing to doubt
        (swap(lambda place: place.write_bytes(b"")), "no time-stamp in DER"),
        (swap(lambda place: place.write_bytes(REPLY[:-1])), "no time-stamp in DER"),
        (swap(lambda place: place.write_bytes(TSA.reply(b"", AT))), "about other bytes"),
        (swap(lambda place: place.write_bytes(b"0" * (1 << 17))), "larger than 64 KiB"),
        (swap(lambda place: place.symlink_to(place.with_name("tsa.pem"))), "symbolic link"),
        (swap(os.mkfifo), "neither a file nor a folder"),
        (swap(lambda place: place.mkdir()), "a folder"),
        (lambda file: file.with_name("trust.toml").write_text(TRUST[: TRUST.index("[[")]), "no trust file that lists"),
    ],
)
def test_anything_else_proves_nothing_and_says_why(file: Path, tamper: Callable[[Path], object], doubt: str) -> None:
    assert asked(file).moment == AT
    tamper(file)
    found = asked(file)
    assert (found.moment, found.reply) == (None, None)
    assert doubt in found.doubt
    assert bool(found.doubt) == bool(doubt)


def test_without_a_trust_file_nobody_is_believed(file: Path) -> None:
    assert stamp_beside(file, CONTENT, None) == Stamp(doubt="no trust file that lists its authority was given")


def test_a_trust_file_that_cannot_be_used_is_not_passed_over(file: Path) -> None:
    file.with_name("tsa.pem").unlink()
    with pytest.raises(TrustError):
        asked(file)
