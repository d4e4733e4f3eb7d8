"""Envelopes: only VerificationError; whatever verifies bears the very bytes that were signed."""

import base64
import json
import random
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mutation import Mutate, fuzz, mutate_bytes, mutate_value, refusal
from seeds import auditor_key, sound_statement

from reports.dsse import PAYLOAD_TYPE, Envelope, sign
from reports.errors import VerificationError
from reports.evidence import ENVELOPE
from reports.trust import Trust, TrustedKey
from reports.verify import verify

BODY = sound_statement()
TRUST = Trust(keys=(TrustedKey("A. Auditor", "auditor", auditor_key().public),), require={"auditor": 1})
SEED = Envelope(PAYLOAD_TYPE, BODY, (sign(BODY, auditor_key()),)).to_bytes()
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def mutate_members(data: bytes, rng: random.Random) -> bytes:
    """Return an envelope with a member changed: the payload as text or in its bytes, a signature, or another."""
    try:
        members: Any = json.loads(data)
        match rng.randrange(4):
            case 0:
                body = mutate_bytes(base64.b64decode(members["payload"]), rng)
                members["payload"] = base64.b64encode(body).decode()
            case 1:
                signature = mutate_bytes(base64.b64decode(members["signatures"][0]["sig"]), rng)
                members["signatures"][0]["sig"] = base64.b64encode(signature).decode()
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
    return "accepted"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        mutations: list[Mutate] = [mutate_members, mutate_members, mutate_bytes]
        fuzz("envelope", [SEED], lambda data: step(data, place), mutations)
