"""Files of thresholds, and documents with claims: sound promises or JudgeFileError; claims quote the text.

An input is a letter and a file: `t` thresholds.toml, `d` a document.
"""

import math
import random
import tempfile
from datetime import date
from pathlib import Path

from mutation import fuzz, mutate_bytes, mutate_lines, refusal
from seeds import sound_report

from compliance.claims import KINDS, extract_claims
from compliance.errors import JudgeFileError
from compliance.thresholds import outcomes, read_thresholds, set_beforehand

REPORT = sound_report()
START = date(2026, 11, 21)
THRESHOLDS = b"""version = 1
registered_on = 2026-10-01
registered_by = "A. Example, head of ML"
[[threshold]]
check = "attack.linear"
measurement = "rate"
op = "<="
limit = 0.05
confidence = 0.95
min_n = 60
why = "as the policy asks"
[[threshold]]
check = "integrity.accuracy"
measurement = "accuracy"
op = ">="
limit = 0.9
"""
DOCUMENT = """# Technical documentation

The model was trained by 10 offices in 160 rounds. Training satisfies (\u03b5, \u03b4) = (3.0, 10\u207b\u2075), so
records cannot be rebuilt from updates; the server sees only the sum.

| accuracy | 93 % |

- Up to 3 of 10 clients may drop out without losing the sum.
- Client 7 was forgotten by the model. The membership advantage is at most 0.05.
""".encode()


def step(data: bytes, path: Path) -> str:
    """Read one file, and use what it says."""
    if data[:1] == b"d":
        text = data[1:].decode(errors="replace")
        found = extract_claims(text)
        for claim in found:
            assert claim.kind in KINDS
            assert text[claim.start : claim.end] == claim.quote
            assert claim.value is None or (math.isfinite(claim.value) and claim.value >= 0)
            assert claim.hedged == bool(claim.doubt)
        return "accepted" if found else "nothing claimed"
    path.write_bytes(data[1:])
    try:
        promised = read_thresholds(path)
    except JudgeFileError as error:
        return refusal(error, prefix="thresholds.")
    assert promised.threshold
    found_ = outcomes(promised, REPORT.findings)
    assert [one.promise for one in found_] == list(promised.threshold)
    assert all(math.isfinite(one.promise.limit) and 0 < one.promise.confidence < 1 for one in found_)
    late = set_beforehand(promised, START, None) == "late"
    assert late == (promised.registered_on >= START)
    return "accepted"


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Return an input of the same kind with lines or bytes of its file changed."""
    return data[:1] + rng.choice((mutate_lines, mutate_bytes))(data[1:], rng)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "thresholds.toml"
        fuzz("thresholds", [b"t" + THRESHOLDS, b"d" + DOCUMENT], lambda data: step(data, place), [mutate])
