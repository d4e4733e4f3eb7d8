"""Transcripts: refused as none, or judged in documented words; what passes as signed, the clients did sign."""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mutation import Mutate, fuzz, mutate_bytes, mutate_value, refusal

from reports.canonical import canonical_json
from reports.errors import FileError, ReportError
from secagg.draft import Draft
from secagg.source import MemorySource, read_identities
from secagg.verify import CAPTURE, verify_sources
from secagg.violations import NOT_AUTHENTIC, VIOLATIONS

VECTORS = Path(__file__).parents[1] / "vectors/secagg"
FOLDERS = [VECTORS / name for name in ("transcript-a", "transcript-b", "flower-capture/whole/round-0001")]
CLEAR = frozenset(("plaintext-metadata",))
"""What the third, a capture of Flower's own protocol, shows as it is."""
BLOBS = {path.name: path.read_bytes() for folder in FOLDERS for path in (folder / "blobs").iterdir()}
IDENTITIES = read_identities(FOLDERS[0] / "identities.json")
SEEDS = [(folder / "transcript.jsonl").read_bytes() for folder in FOLDERS]


def opened(data: bytes) -> MemorySource:
    """The transcript of these bytes; the signed one is known by its first client's key."""
    *lines, rest = data.split(b"\n")
    signed = b'"signatures":true' in data
    return MemorySource(lines, BLOBS, IDENTITIES if signed else None, cut_short=bool(rest))


def mutate_records(data: bytes, rng: random.Random) -> bytes:
    """Return a transcript with values of its records changed, canonical and chained anew: what the deep checks see."""
    try:
        draft = Draft.of(opened(data))
        for _ in range(rng.randint(1, 2)):
            record = rng.choice(draft.records)
            record["body"] = _mutated(record["body"], rng)
        return b"".join(line + b"\n" for line in draft.edited().lines())
    except (ValueError, TypeError, RecursionError, ReportError):
        return mutate_bytes(data, rng)


def _mutated(body: Any, rng: random.Random) -> Any:
    changed = mutate_value(body, rng)
    canonical_json(changed)
    return changed


def mutate_order(data: bytes, rng: random.Random) -> bytes:
    """Return a transcript with lines cut, doubled or exchanged, chained anew."""
    lines = data.split(b"\n")[:-1]
    if len(lines) < 3:
        return mutate_bytes(data, rng)
    one, other = rng.randrange(1, len(lines)), rng.randrange(1, len(lines))
    match rng.randrange(3):
        case 0:
            del lines[one]
        case 1:
            lines.insert(one, lines[other])
        case _:
            lines[one], lines[other] = lines[other], lines[one]
    try:
        return b"".join(line + b"\n" for line in Draft.of(MemorySource(lines)).edited().lines())
    except (ValueError, TypeError, KeyError):
        return b"".join(line + b"\n" for line in lines)


def step(data: bytes) -> str:
    """Verify a transcript, alone and beside a sound one."""
    try:
        found = verify_sources([opened(data)])
    except FileError as error:
        return refusal(error, prefix="secagg.")
    codes = {violation.code for violation in found.violations}
    assert codes <= NOT_AUTHENTIC | VIOLATIONS
    assert (found.status == "fail") == bool(codes)
    assert (found.authenticity == "broken") == bool(codes & NOT_AUTHENTIC)
    json.dumps(found.as_fields(), allow_nan=False)
    verify_sources([opened(data), opened(SEEDS[1])])
    if found.status == "pass" or (
        codes == CLEAR and found.transcripts[0].protocol == CAPTURE
    ):  # whoever writes all lines may put them in another order, but cannot sign others
        assert found.authenticity != "signed" or said(data) <= said(SEEDS[0])
        return "accepted"
    return f"{found.status}: {' '.join(sorted({_shape(one.code, one.detail) for one in found.violations}))}"[:300]


def _shape(code: str, detail: str) -> str:
    return f"{code} {re.sub(r'[0-9a-f]{12}|[0-9]+', '_', detail)[:30]}"


def said(data: bytes) -> set[bytes]:
    """What clients say in a transcript, without place and digest."""
    records = (record for record in Draft.of(opened(data)).records if record["sender"] != "server")
    return {canonical_json({key: record[key] for key in ("body", "sender", "type")}) for record in records}


def mutations() -> Iterator[Mutate]:
    """In the shares in which they are drawn."""
    yield from (mutate_records, mutate_records, mutate_order, mutate_bytes)


if __name__ == "__main__":
    fuzz("transcript", SEEDS, step, list(mutations()))
