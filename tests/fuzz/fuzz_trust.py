"""Trust files: only TrustError; what loads asks for a signature, by keys that are distinct and in their windows."""

import tempfile
from pathlib import Path

from mutation import fuzz, mutate_bytes, mutate_lines, refusal
from seeds import auditor_key, authority_pem

from reports.errors import TrustError
from reports.trust import load_trust

SEED = b"""version = 1
max_age_days = 90
withheld = "allow"
require_timestamp = false
[require]
auditor = 1
provider = 0
[[keys]]
name = "A. Auditor"
role = "auditor"
public_key = "auditor.pub"
not_before = 2026-01-01T00:00:00Z
not_after = 2027-01-01T00:00:00Z
revoked_at = 2026-12-01T00:00:00Z
revoked_reason = "retired"
[[timestamp_authorities]]
certificate = "tsa.pem"
"""
INLINE = SEED.replace(b'"auditor.pub"', b'"""' + auditor_key().public.to_pem() + b'"""').replace(
    b"public_key =", b"public_key_pem ="
)


def step(data: bytes, path: Path) -> str:
    """Load a trust file."""
    path.write_bytes(data)
    try:
        trust = load_trust(path)
    except TrustError as error:
        return refusal(error, prefix="trust.")
    assert sum(trust.require.values()) > 0
    assert len({key.key.spki for key in trust.keys}) == len(trust.keys)
    assert all(authority.spki not in {key.key.spki for key in trust.keys} for authority in trust.authorities)
    for key in trust.keys:
        assert key.key.algorithm in ("ecdsa-p256", "ed25519")
        assert not (key.not_before and key.not_after) or key.not_before < key.not_after
    return "accepted"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "auditor.pub").write_bytes(auditor_key().public.to_pem())
        (Path(folder) / "tsa.pem").write_bytes(authority_pem())
        place = Path(folder) / "trust.toml"
        fuzz("trust", [SEED, INLINE], lambda data: step(data, place), [mutate_lines, mutate_lines, mutate_bytes])
