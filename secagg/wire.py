"""Canonical JSON and the scalars inside it: one way to write a record, and nothing else is read.

RFC 8785 restricted to what a record needs: objects with ASCII keys, strings, integers below 2^53, booleans and null.
For these the standard library's sorted, compact output is the canonical form.
"""

import binascii
import json
import math
import re
from collections.abc import Callable, Collection
from itertools import pairwise
from typing import Any

LARGEST_INTEGER = 2**53 - 1
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_ID_DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-"
_HEX_DIGITS = b"0123456789abcdef"
_ANOTHER_FORM = (b" ", b"\t", b"\n", b"\r", b"\\")
_SPARE = {1: frozenset("AEIMQUYcgkosw048"), 2: frozenset("AQgw")}
"""Digits of base64 that may stand before so much padding."""
_HEX = re.compile(r"[0-9a-f]{64}")


class MalformedRecord(ValueError):  # noqa: N818  (the field's word)
    """Bytes that are no record of this protocol; the text says where and why."""


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of `value` (RFC 8785, restricted).

    Raises:
        MalformedRecord: a real number, an integer beyond 2^53 - 1, a key that is not ASCII text, or another type.
    """
    _require_plain(value)
    try:
        return _ENCODER.encode(value).encode()
    except UnicodeEncodeError as error:
        raise MalformedRecord("text holds half of a surrogate pair") from error


def parse(line: bytes) -> Any:
    """Return the value of one canonical JSON text.

    In ASCII without white space or an escape, keys out of order are the one way left to stray from the canonical form:
    so long lines need not be written anew to be compared.

    Raises:
        MalformedRecord: not JSON, a key twice, a real or too large number, or not in canonical form.
    """
    value = _load(line, _CANONICAL)
    if (not line.isascii() or any(mark in line for mark in _ANOTHER_FORM)) and canonical(value) != line:
        raise MalformedRecord("not in canonical form")
    return value


def parse_loosely(line: bytes) -> Any:
    """Return the value of one JSON text, written canonically or not; for bytes whose form is checked elsewhere.

    Raises:
        MalformedRecord: not JSON, a key twice, or a real or too large number.
    """
    return _load(line, _LOOSE)


def encode_bytes(data: bytes) -> str:
    """Return standard base64 with padding (RFC 4648, section 4)."""
    return binascii.b2a_base64(data, newline=False).decode()


def decode_bytes(text: Any, length: int | None = None) -> bytes:
    """Return the bytes of standard base64, `length` of them where given.

    Raises:
        MalformedRecord: not text, not the one base64 text of its bytes, or of another length.
    """
    if type(text) is not str:
        raise MalformedRecord("binary is base64 text")
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedRecord(f"invalid base64: {error}") from error
    if length is not None and len(data) != length:
        raise MalformedRecord(f"{len(data)} bytes where {length} belong")
    if text[-1:] == "=" and encode_bytes(data) != text:  # unused bits of the last digit must be zero
        raise MalformedRecord("invalid base64: trailing bits are set")
    return data


def decode_each(texts: Collection[Any], length: int) -> list[bytes]:
    """Return `decode_bytes` of every text, all of one length above 0: at one go, for the many shares of a message."""
    padding, stride = -length % 3, -(-length // 3) * 4
    try:
        joined = "".join(texts)
        if set(map(len, texts)) - {stride}:
            raise MalformedRecord(f"each of these is {length} bytes of base64 text")
        if padding:  # at every end and nowhere else, after a digit whose unused bits are zero
            ends = [joined[stride - place :: stride] for place in range(padding, 0, -1)]
            spare = set(joined[stride - padding - 1 :: stride])
            if joined.count("=") != padding * len(texts) or set("".join(ends)) - {"="} or spare - _SPARE[padding]:
                raise MalformedRecord("invalid base64: padding, or trailing bits are set")
            joined = joined.replace("=", "A")  # whole groups of three bytes, which can stand in a row
        data = binascii.a2b_base64(joined, strict_mode=True)
    except (binascii.Error, ValueError, TypeError) as error:
        if isinstance(error, MalformedRecord):
            raise
        raise MalformedRecord(f"invalid base64: {error}") from error
    if len(data) != (length + padding) * len(texts):
        raise MalformedRecord("invalid base64: padding within")
    return [data[start : start + length] for start in range(0, len(data), length + padding)]


def require_id(value: Any) -> str:
    """Return a client id, or refuse it."""
    if type(value) is not str or not _ID.fullmatch(value):
        raise MalformedRecord(f"a client id matches [A-Za-z0-9_.:-]{{1,64}}, not {_shown(value)}")
    return value


def require_ids(value: Any) -> tuple[str, ...]:
    """Return a sorted list of distinct client ids, or refuse it."""
    if type(value) is not list:
        raise MalformedRecord("a list of client ids is missing")
    ids = tuple(require_id(one) for one in value)
    if any(left >= right for left, right in pairwise(ids)):
        raise MalformedRecord("client ids are sorted and each named once")
    return ids


def require_each_id(values: Collection[str]) -> None:
    """Refuse where one of many texts is not a client id."""
    if any(not 0 < length <= 64 for length in set(map(len, values))) or _beside("".join(values), _ID_DIGITS):
        for one in values:
            require_id(one)


def require_sha256(value: Any) -> str:
    """Return a lower-case hexadecimal SHA-256, or refuse it."""
    if type(value) is not str or not _HEX.fullmatch(value):
        raise MalformedRecord(f"a SHA-256 is 64 lower-case hexadecimal digits, not {_shown(value)}")
    return value


def require_each_sha256(values: Collection[Any]) -> None:
    """Refuse where one of many is not a lower-case hexadecimal SHA-256."""
    if set(map(type, values)) - {str} or set(map(len, values)) - {64} or _beside("".join(values), _HEX_DIGITS):
        for one in values:
            require_sha256(one)


def require_integer(value: Any, low: int = 0, high: int = LARGEST_INTEGER) -> int:
    """Return an integer of the range, or refuse it."""
    if type(value) is not int or not low <= value <= high:
        raise MalformedRecord(f"an integer from {low} to {high} belongs here, not {_shown(value)}")
    return value


def require_text(value: Any, longest: int = 1000) -> str:
    """Return text, or refuse it."""
    if type(value) is not str or len(value) > longest:
        raise MalformedRecord(f"text of at most {longest} characters belongs here, not {_shown(value)}")
    return value


def require_boolean(value: Any) -> bool:
    """Return a truth value, or refuse it."""
    if type(value) is not bool:
        raise MalformedRecord(f"true or false belongs here, not {_shown(value)}")
    return value


def require_keys(value: Any, keys: frozenset[str]) -> dict[str, Any]:
    """Return an object with exactly these keys, or refuse it."""
    if type(value) is not dict:
        raise MalformedRecord("an object belongs here")
    if value.keys() != keys:
        odd = sorted(value.keys() ^ keys)[0]
        raise MalformedRecord(f"{'unknown' if odd in value else 'missing'} field {_shown(odd)}")
    return value


def decimal(value: float) -> str:
    """Return a real number as text: the shortest decimal that reads back as it."""
    return repr(float(value))


def require_decimal(value: Any) -> float:
    """Return the real number of a shortest decimal, or refuse it."""
    text = require_text(value, 40)
    try:
        number = float(text)
    except ValueError as error:
        raise MalformedRecord(f"a decimal number belongs here, not {_shown(text)}") from error
    if not math.isfinite(number) or decimal(number) != text:
        raise MalformedRecord(f"{_shown(text)} is not the shortest decimal of a finite number")
    return number


def _require_plain(value: Any) -> None:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if kind is int:
        if not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
            raise MalformedRecord("integers stay below 2^53")
    elif kind is dict:
        for key, inner in value.items():
            if type(key) is not str or not key.isascii():
                raise MalformedRecord("keys are ASCII text")
            if type(inner) is not str:
                _require_plain(inner)
    elif kind is list or kind is tuple:
        for inner in value:
            if type(inner) is not str:
                _require_plain(inner)
    else:
        raise MalformedRecord(f"a record holds no {kind.__name__}")


def _load(line: bytes, decoder: json.JSONDecoder) -> Any:
    try:
        return decoder.decode(line.decode())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise MalformedRecord(f"not JSON: {error}") from error
    except RecursionError as error:
        raise MalformedRecord("nested too deeply") from error


def _beside(text: str, alphabet: bytes) -> bytes:
    """Return what of `text` is not of the alphabet."""
    return text.encode(errors="replace").translate(None, alphabet)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise MalformedRecord("a key stands twice")
    return value


def _in_order(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = _unique(pairs)
    if sorted(value) != list(value):
        raise MalformedRecord("not in canonical form: keys out of order")
    return value


def _no_real(text: str) -> Any:
    raise MalformedRecord(f"a real number is written as text, not {text[:40]}")


def _integer(text: str) -> int:
    if text == "-0":
        raise MalformedRecord("not in canonical form: zero has no sign")
    if len(text) > 17 or abs(int(text)) > LARGEST_INTEGER:
        raise MalformedRecord("integers stay below 2^53")
    return int(text)


def _shown(value: Any) -> str:
    return repr(value)[:80]


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)


def _decoder(objects: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=objects, parse_float=_no_real, parse_constant=_no_real, parse_int=_integer
    )


_LOOSE, _CANONICAL = _decoder(_unique), _decoder(_in_order)
