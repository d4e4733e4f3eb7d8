"""`openssl ts` as a time-stamping authority: real replies, at the time of this machine."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import Certificate

from reports.timestamp_authority import Authority, parse_authority
from tests.reports.authority import ROOT, StampingAuthority, certificate, pem, private

CONFIGURATION = """[tsa]
default_tsa = here
[here]
serial = ./serial
signer_cert = ./tsa.pem
signer_key = ./tsa.key
certs = ./root.pem
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
signer_digest = {digest}
ess_cert_id_alg = sha256
accuracy = secs:1
"""
STAMPER = StampingAuthority("Openssl TSA", 21, serial=21)


Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
FIXED = private(STAMPER.scalar)


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
    key: Key = FIXED
    """Its own."""
    digest: str = "sha256"
    """What it signs with."""

    def __post_init__(self) -> None:
        """Lay out its files."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        files = {"tsa.cnf": CONFIGURATION.format(digest=self.digest).encode(), "tsa.key": key, "serial": b"01\n"}
        for name, content in {**files, "tsa.pem": pem(self.certificate), "root.pem": pem(ROOT)}.items():
            (self.folder / name).write_bytes(content)

    @property
    def certificate(self) -> Certificate:
        """Its own, issued by the test root."""
        public = self.key.public_key()
        return certificate(STAMPER.name, public, "Test Root", private(11), *STAMPER.extensions, serial=STAMPER.serial)

    @property
    def listed(self) -> Authority:
        """As a trust file reads it."""
        return parse_authority(pem(self.certificate, ROOT), "tsa.pem")

    def reply(self, query: bytes) -> bytes:
        """The reply to a query."""
        (self.folder / "query.tsq").write_bytes(query)
        openssl(self.folder, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query.tsq", "-out", "reply.tsr")
        return (self.folder / "reply.tsr").read_bytes()
