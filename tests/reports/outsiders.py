"""Other people's software that is asked whether a bundle's seal holds. Nothing of ours is imported to decide it."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from securesystemslib import dsse
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]  # exported, though not declared so

SCRIPT = Path(__file__).with_name("sigstore_verify.js")
MODULES = os.environ.get("FEDAUDIT_NODE_MODULES", "")
needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (Path(MODULES) / "@sigstore" / "verify").is_dir(),
    reason="needs node, and a folder with npm's @sigstore/verify 3.1.1 named by FEDAUDIT_NODE_MODULES",
)
needs_shell = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("openssl", "jq", "sh")), reason="needs sh, openssl and jq on the machine"
)


def shell_accepts(bundle: Path, key: Path, number: int = 0) -> bool:
    """Whether the recipe in the bundle, openssl and jq accept the signature with that number."""
    script = bundle / "render" / "verify.sh"
    path = {"PATH": os.environ["PATH"]}  # nothing of ours: no PYTHONPATH, no virtual environment
    command = ["sh", str(script), str(bundle), str(key), str(number)]
    return subprocess.run(command, capture_output=True, env=path, check=False).returncode == 0


def securesystemslib_accepts(bundle: Path, *keys: Path) -> bool:
    """Whether securesystemslib finds a signature by each of the keys."""
    envelope = dsse.Envelope.from_dict(json.loads((bundle / "report.dsse.json").read_text()))
    try:
        return len(envelope.verify([_their_key(path) for path in keys], len(keys))) == len(keys)
    except VerificationError:
        return False


def _their_key(path: Path) -> SSlibKey:
    pem = path.read_bytes()
    key = load_pem_public_key(pem)
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    keyid = hashlib.sha256(der).hexdigest()  # it looks a key up by the signature's hint
    if isinstance(key, ed25519.Ed25519PublicKey):
        raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
        return SSlibKey(keyid, "ed25519", "ed25519", {"public": raw})
    return SSlibKey(keyid, "ecdsa", "ecdsa-sha2-nistp256", {"public": pem.decode()})


def sigstore_says(key: Path, *bundles: Path, chain: Sequence[Path] = ()) -> list[str]:
    """What npm's @sigstore/verify says of each Sigstore bundle: `verified`, or its code and reason.

    Args:
        key: PEM of the signer's public key.
        bundles: files.
        chain: DER files of a time-stamping authority's certificates, its own first; then each bundle must be stamped.
    """
    command = ["node", str(SCRIPT), str(key), ",".join(map(str, chain)) or "-", *map(str, bundles)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
