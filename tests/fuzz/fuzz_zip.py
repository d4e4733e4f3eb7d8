"""Bundles in a zip: only VerificationError; what is accepted is what was signed, and so it is to Python's zipfile."""

import hashlib
import io
import random
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from mutation import Mutate, fuzz, mutate_bytes, refusal
from seeds import auditor_key, sound_report

from reports.bundle_files import files_of, read_content
from reports.dsse import PAYLOAD_TYPE, Envelope, sign
from reports.errors import VerificationError
from reports.evidence import ENVELOPE, evidence_faults, evidence_root
from reports.model import Confidentiality, Evidence, evidence_path
from reports.statement import declared_subjects, make_statement
from reports.trust import Trust, TrustedKey
from reports.verify import verify

FIGURE = b'{"kind":"line"}' * 20
SHA256 = hashlib.sha256(FIGURE).hexdigest()
PIECE = Evidence(
    sha256=SHA256, path=evidence_path(SHA256, ".json"), size=len(FIGURE), media_type="application/json",
    confidentiality=Confidentiality.INTERNAL, name="a figure",
)  # fmt: skip
PIECES = tuple(sorted((PIECE, *sound_report().evidence), key=lambda piece: piece.sha256))
REPORT = sound_report().model_copy(update={"evidence": PIECES, "evidence_root": evidence_root(PIECES)})
BODY = make_statement(REPORT, declared_subjects(REPORT.system)).body
TRUST = Trust(keys=(TrustedKey("A. Auditor", "auditor", auditor_key().public),), require={"auditor": 1})
NOW = datetime(2026, 11, 21, tzinfo=UTC)
FILES = {
    ENVELOPE: Envelope(PAYLOAD_TYPE, BODY, (sign(BODY, auditor_key()),)).to_bytes(),
    f"evidence/{PIECE.path}": FIGURE,
    "render/report.md": b"# ward",
}
NAMES = (b"../port.dsse.json", b"report.dsse.jsoN", b"report.dsse\\json", b"report.dsse.js/n", b"/eport.dsse.json")
NUMBERS = (0, 1, 2, 7, 8, 20, 0x10, 0xFF, 0xFFFF, 0x7075, 0xFFFFFFFF, 0x8000_0000, 1 << 20)
MARKS = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x07\x08")


class _Stream(io.RawIOBase):
    """Takes bytes and cannot be wound back: a zip written so tells sizes behind the data."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self.written += piece
        return len(piece)


def seeds() -> list[bytes]:
    """Return sound zips as Python writes them: packed, plain, streamed, and with fields for large sizes."""
    return [
        _written(io.BytesIO(), zipfile.ZIP_STORED, wide=False),
        *(
            _written(out, zipfile.ZIP_DEFLATED, wide=wide)
            for wide in (False, True)
            for out in (io.BytesIO(), _Stream())
        ),
    ]


def _written(out: "io.BytesIO | _Stream", how: int, *, wide: bool) -> bytes:
    with zipfile.ZipFile(out, "w") as file:
        for name, data in FILES.items():
            told = zipfile.ZipInfo(name)
            told.compress_type = how
            with file.open(told, "w", force_zip64=wide) as member:
                member.write(data)
    return bytes(out.written) if isinstance(out, _Stream) else out.getvalue()


def mutate_fields(data: bytes, rng: random.Random) -> bytes:
    """Return a zip with a number of one to three of its headers replaced."""
    found = bytearray(data)
    places = [place for mark in MARKS for place in _all(data, mark)]
    for _ in range(rng.randint(1, 3)):
        start = rng.choice(places or [0]) + rng.randrange(4, 46)
        size = rng.choice((1, 2, 4))
        number = rng.choice((*NUMBERS, rng.randrange(len(data) + 1)))
        found[start : start + size] = (number % 256**size).to_bytes(size, "little")
    return bytes(found)


def mutate_names(data: bytes, rng: random.Random) -> bytes:
    """Return a zip with a name replaced in one of its two places, or in both."""
    old = rng.choice([name.encode() for name in FILES])
    new = rng.choice([*NAMES, *(name.encode() for name in FILES)])[: len(old)].ljust(len(old), b"x")
    return data.replace(old, new, rng.choice((1, 2)))


def _all(data: bytes, mark: bytes) -> list[int]:
    places = []
    place = data.find(mark)
    while place >= 0:
        places.append(place)
        place = data.find(mark, place + 1)
    return places


def step(data: bytes, path: Path) -> str:
    """Verify who signed what, and the evidence, as far as it is there."""
    path.write_bytes(data)
    try:
        verified = verify(path, TRUST, [], NOW, signature_only=True)
    except VerificationError as error:
        return refusal(error, exit_code=4)
    assert verified.statement.body == BODY, "false accept"
    files = files_of(path)
    for fault in evidence_faults(files, REPORT.evidence, REPORT.evidence_root, deny_withheld=False):
        return f"{fault.code}: "
    for name, content in FILES.items():
        if name != "render/report.md" and files.kind(name) == "file":
            assert name == ENVELOPE or read_content(files.open(name)) == content, "false accept"
    with zipfile.ZipFile(path) as peer:
        assert {name for name in FILES if files.kind(name) == "file"} <= set(peer.namelist()), "another reader's zip"
        assert peer.read(ENVELOPE) == read_content(files.open(ENVELOPE)), "another reader's envelope"
    return "accepted"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "bundle.zip"
        mutations: list[Mutate] = [mutate_fields, mutate_fields, mutate_names, mutate_bytes]
        fuzz("zip", seeds(), lambda data: step(data, place), mutations)
