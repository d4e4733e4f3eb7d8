"""Instructions in an encoding: base64, hexadecimal, percent signs, character references, variation selectors.

Only what decodes to words that read as an instruction is told: digests, pictures and links are none.
"""

import base64
import binascii
import html
import re
from bisect import bisect_left
from collections.abc import Iterator
from urllib.parse import unquote

from compliance.instructions import instructions
from compliance.skeleton import skeleton, traced_skeleton
from compliance.traced import spliced, untouched

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}(?:\r?\n[ \t]*[A-Za-z0-9+/_-]+={0,2})*")
_LINE = re.compile(r"[A-Za-z0-9+/_-]{24,}")
_HEX = re.compile(r"(?:(?:\\x|0x|%)?[0-9A-Fa-f]{2}[ :,;-]?){16,}")
_HEX_DIGITS = re.compile(r"(?:\\x|0x|%)?([0-9A-Fa-f]{2})")
_ESCAPES = re.compile(
    r"(?:%[0-9A-Fa-f]{2})+|&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});|\\u[0-9A-Fa-f]{4}"
)
_READABLE = re.compile(rb"(?:[\t\n\r\x20-\x7e]|[\xc3][\x80-\xbf]){16,}")
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{12,}")


def encoded_instructions(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each stretch of `text` that decodes to an instruction; they may overlap."""
    for found in _BASE64.finditer(text):
        if any(_instructs(data) for data in _from_base64(found.group())):
            yield found.span()
    for found in _HEX.finditer(text):
        digits = "".join(_HEX_DIGITS.findall(found.group()))
        if _instructs(bytes.fromhex(digits)) or _instructs(bytes.fromhex("0" + digits[:-1])):
            yield found.span()
    for found in _SELECTORS.finditer(text):
        if _instructs(bytes(_selected(letter) for letter in found.group())):
            yield found.span()
    yield from _escaped(text)


def _from_base64(run: str) -> Iterator[bytes]:
    """Yield what a run of base64 may hold: taken together, or line by line, from each of four places on."""
    lines = _LINE.findall(run)
    together = re.sub(r"[\s=]+", "", run)
    for piece in {together, *lines} if len(lines) > 1 else {together}:
        plain = piece.translate({ord("-"): "+", ord("_"): "/"})
        for skipped in range(4):
            cut = plain[skipped:]
            try:
                yield base64.b64decode(cut[: len(cut) - len(cut) % 4] + _rest(cut))
            except binascii.Error:
                continue  # a length that base64 cannot have


def _rest(cut: str) -> str:
    """Return the last, incomplete group with its padding; a single letter says nothing."""
    rest = cut[len(cut) - len(cut) % 4 :]
    return rest + "=" * (4 - len(rest)) if len(rest) > 1 else ""


def _selected(selector: str) -> int:
    """Return the byte that a variation selector can stand for: the first 16, then the other 240."""
    code = ord(selector)
    return code - 0xFE00 if code < 0xE0100 else code - 0xE0100 + 16


def _instructs(data: bytes) -> bool:
    return any(
        next(instructions(skeleton(run.decode("utf-8", "ignore"))), None) is not None
        for run in _READABLE.findall(data.replace(b"\0", b""))
    )


def _escaped(text: str) -> Iterator[tuple[int, int]]:
    """Yield instructions that read so only, or also, once percent signs and character references are resolved."""
    edits = [(found.start(), found.end(), _resolved(found.group())) for found in _ESCAPES.finditer(text)]
    if not edits:
        return
    starts = [start for start, _, _ in edits]
    resolved = spliced(untouched(text), edits)
    read = traced_skeleton(resolved.text)
    for begun, ended in instructions(read.text):
        start, end = resolved.span(*read.span(begun, ended))
        place = bisect_left(starts, start)
        if place < len(starts) and starts[place] < end:
            yield start, end


def _resolved(escape: str) -> str:
    if escape.startswith("%"):
        return unquote(escape, errors="replace")
    if escape.startswith("\\"):
        return chr(int(escape[2:], 16))
    return html.unescape(escape)
