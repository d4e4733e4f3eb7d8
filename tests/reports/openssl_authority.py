"""`openssl ts` as a time-stamping authority: real replies, at the time of this machine."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from reports.timestamp_authority import Authority, parse_authority
from tests.reports.authority import ROOT, StampingAuthority, pem, private

CONFIGURATION = """[tsa]
default_tsa = here
[here]
serial = ./serial
signer_cert = ./tsa.pem
signer_key = ./tsa.key
certs = ./root.pem
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha256
ess_cert_id_alg = sha256
accuracy = secs:1
"""
STAMPER = StampingAuthority("Openssl TSA", 21, serial=21)


@dataclass(frozen=True)
class Ran:
    """What openssl answered."""

    returncode: int
    raw: bytes
    stderr: str

    @property
    def stdout(self) -> str:
        """Its answer as text."""
        return self.raw.decode()


def openssl(folder: Path, *arguments: str, data: bytes = b"", check: bool = True) -> Ran:
    """Run openssl in a folder."""
    done = subprocess.run(["openssl", *arguments], cwd=folder, input=data, capture_output=True, check=check)
    return Ran(done.returncode, done.stdout, done.stderr.decode())


@dataclass(frozen=True)
class OpensslAuthority:
    """An authority that openssl plays."""

    folder: Path

    def __post_init__(self) -> None:
        """Lay out its files."""
        key = private(STAMPER.scalar).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        files = {"tsa.cnf": CONFIGURATION.encode(), "tsa.key": key, "serial": b"01\n"}
        for name, content in {**files, "tsa.pem": pem(STAMPER.certificate), "root.pem": pem(ROOT)}.items():
            (self.folder / name).write_bytes(content)

    @property
    def listed(self) -> Authority:
        """As a trust file reads it."""
        return parse_authority(STAMPER.pem, "tsa.pem")

    def reply(self, query: bytes) -> bytes:
        """The reply to a query."""
        (self.folder / "query.tsq").write_bytes(query)
        openssl(self.folder, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query.tsq", "-out", "reply.tsr")
        return (self.folder / "reply.tsr").read_bytes()
