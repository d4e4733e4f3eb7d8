"""Time-stamps and the certificates behind them: only TimestampError; what is accepted is of the one true time."""

import base64
import json
import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from mutation import fuzz, mutate_bytes, mutate_lines, refusal

from reports.errors import TimestampError
from reports.timestamp import token_in, token_time
from reports.timestamp_authority import parse_authority

VECTOR = json.loads((Path(__file__).parents[1] / "vectors/reports/timestamps.json").read_text())
MESSAGE, TIME = VECTOR["message"].encode(), datetime.fromisoformat(VECTOR["time"])
REPLY, CHAIN = base64.b64decode(VECTOR["reply"]), VECTOR["authority"].encode()
AUTHORITY = parse_authority(CHAIN, "tsa.pem")
TOKEN = token_in(REPLY, MESSAGE)
_BEGIN = b"-----BEGIN"


def encoded(tag: int, body: bytes) -> bytes:
    """Return one element of DER."""
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    width = (len(body).bit_length() + 7) // 8
    return bytes([tag, 0x80 | width]) + len(body).to_bytes(width, "big") + body


def elements(data: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of the elements that `data` is made of; ValueError where it is not."""
    found, place = [], 0
    while place < len(data):
        if place + 2 > len(data):
            raise ValueError(place)
        tag, size, start = data[place], data[place + 1], place + 2
        if size >= 0x80:
            width = size & 0x7F
            size, start = int.from_bytes(data[start : start + width], "big"), start + width
        if start + size > len(data):
            raise ValueError(place)
        found.append((tag, data[start : start + size]))
        place = start + size
    return found


def mutate_element(data: bytes, rng: random.Random) -> bytes:
    """Return DER with one element changed, cut, doubled, exchanged or renamed, and every length around it corrected."""
    try:
        parts = elements(data)
    except ValueError:
        return mutate_bytes(data, rng)
    if not parts:
        return mutate_bytes(data, rng)
    place = rng.randrange(len(parts))
    tag, body = parts[place]
    if tag & 0x20 and rng.random() < 0.85:
        parts[place] = (tag, mutate_element(body, rng))
    else:
        changes: list[Callable[[], list[tuple[int, bytes]]]] = [
            lambda: [(tag, mutate_bytes(body, rng))],
            list,
            lambda: [(tag, body), (tag, body)],
            lambda: [(rng.randrange(256), body)],
            lambda: [(tag, body[::-1])],
            lambda: [(0x30, encoded(tag, body))],
        ]
        parts[place : place + 1] = rng.choice(changes)()
    return b"".join(encoded(*part) for part in parts)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Return certificates with their text or their DER changed, or a token or a reply with its DER changed."""
    if not data.startswith(_BEGIN):
        return mutate_element(data, rng) if rng.random() < 0.8 else mutate_bytes(data, rng)
    if rng.random() < 0.3:
        return mutate_lines(data, rng)
    label, blocks = b"-----BEGIN CERTIFICATE-----", data.split(b"-----END")
    place = rng.randrange(len(blocks))
    head, found, body = blocks[place].partition(label)
    try:
        der = mutate_element(base64.b64decode(body), rng)
    except ValueError:
        return mutate_bytes(data, rng)
    blocks[place] = head + found + b"\n" + base64.encodebytes(der)
    return b"-----END".join(blocks)


def step(data: bytes) -> str:
    """Read certificates, or verify a reply or a token."""
    try:
        if data.startswith(_BEGIN):
            authority = parse_authority(data, "tsa.pem")
            assert authority.certificate == AUTHORITY.certificate, "false accept"
            return "accepted"
        try:
            token = token_in(data, MESSAGE)
        except TimestampError:
            token = data
        assert token_time(token, MESSAGE, [AUTHORITY]) == TIME, "false accept"
    except TimestampError as error:
        return refusal(error, prefix="timestamp.")
    return "accepted"


if __name__ == "__main__":
    fuzz("timestamp", [TOKEN, REPLY, CHAIN], step, [mutate])
