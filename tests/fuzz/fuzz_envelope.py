"""Envelopes: only VerificationError; whatever verifies bears the very bytes that were signed."""

import base64
import json
import random
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mutation import Mutate, fuzz, mutate_bytes, mutate_value, refusal
from seeds import auditor_key, authority_pem, foreign_token, sound_statement

from reports.dsse import PAYLOAD_TYPE, Envelope, sign
from reports.errors import VerificationError
from reports.evidence import ENVELOPE
from reports.timestamp_authority import parse_authority
from reports.trust import Trust, TrustedKey
from reports.verify import verify

BODY = sound_statement()
TRUST = Trust(
    keys=(TrustedKey("A. Auditor", "auditor", auditor_key().public),),
    require={"auditor": 1},
    authorities=(parse_authority(authority_pem(), "tsa.pem"),),
)
SIGNED = Envelope(PAYLOAD_TYPE, BODY, (sign(BODY, auditor_key()),))
SEEDS = [SIGNED.to_bytes(), SIGNED.with_timestamp(SIGNED.signatures[0], foreign_token()).to_bytes()]
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def mutate_members(data: bytes, rng: random.Random) -> bytes:
    """Return an envelope with a member changed: the payload as text or in its bytes, a signature, or another."""
    try:
        members: Any = json.loads(data)
        match rng.randrange(5):
            case 0:
                body = mutate_bytes(base64.b64decode(members["payload"]), rng)
                members["payload"] = base64.b64encode(body).decode()
            case 1:
                signature = mutate_bytes(base64.b64decode(members["signatures"][0]["sig"]), rng)
                members["signatures"][0]["sig"] = base64.b64encode(signature).decode()
            case 2 if "timestamp" in members["signatures"][0]:
                token = mutate_bytes(base64.b64decode(members["signatures"][0]["timestamp"]), rng)
                members["signatures"][0]["timestamp"] = base64.b64encode(token).decode()
            case _:
                members = mutate_value(members, rng)
        return json.dumps(members).encode("utf-8")
    except (ValueError, LookupError, TypeError, RecursionError):
        return mutate_bytes(data, rng)


def step(data: bytes, bundle: Path) -> str:
    """Verify who signed what."""
    (bundle / ENVELOPE).write_bytes(data)
    try:
        verified = verify(bundle, TRUST, [], NOW, signature_only=True)
    except VerificationError as error:
        return refusal(error, exit_code=4)
    assert verified.statement.body == BODY, "false accept"
    assert all(signer.stamped_at is None for signer in verified.signers), "no authority ever saw this signature"
    return "accepted"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        mutations: list[Mutate] = [mutate_members, mutate_members, mutate_bytes]
        fuzz("envelope", SEEDS, lambda data: step(data, place), mutations)
