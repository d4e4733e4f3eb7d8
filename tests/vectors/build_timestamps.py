"""Build reports/timestamps.json: one reply of a time-stamping authority, and the certificates that vouch for it.

    python -m tests.vectors.build_timestamps          writes the file, from the root of the tree

The authority is that of the tests (`tests/reports/authority.py`): fixed keys, deterministic signatures, the same bytes
everywhere. openssl verifies its replies in `tests/reports/test_timestamp.py`.
"""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

from tests.reports.authority import ROOT, TSA

FILE = Path(__file__).with_name("reports") / "timestamps.json"
MESSAGE = b"a signature"
AT = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)


def text() -> str:
    """Return the file's content."""
    reply = TSA.reply(MESSAGE, AT, accuracy=1, nonce=5, embedded=(TSA.certificate, ROOT))
    vector = {
        "about": "written by tests/vectors/build_timestamps.py",
        "message": MESSAGE.decode(),
        "time": "2026-11-20T10:30:01Z",
        "reply": base64.b64encode(reply).decode(),
        "authority": TSA.pem.decode(),
    }
    return json.dumps(vector, indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
