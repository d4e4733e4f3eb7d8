"""Canonical bytes (RFC 8785) and the strict reading of JSON that a signature deserves.

Python's own parser, and pydantic's, keep the last of two equal keys and accept NaN: two readers of one signed document
could then see different reports. What `strict_json` lets through, every conforming reader reads alike (RFC 7493).
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, NoReturn, cast

import rfc8785
from pydantic import BaseModel

from reports.errors import ReportError

MAX_DEPTH = 64
MAX_NUMBER = 40
"""Characters of a number: more than any double or 53-bit integer needs, less than costs time to convert."""
_LARGEST_INTEGER = 2**53 - 1
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)  # possessive: linear also where no quote closes it
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_RARE = bytes(set(range(32)) - {ord("\n")})
"""Control characters; a new line is the one that texts are full of."""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def canonical(noun: BaseModel) -> bytes:
    """Return the RFC 8785 form of a noun: every field present, null for absent, no second way to write it."""
    return canonical_json(noun.model_dump(mode="json"))


def canonical_json(value: object) -> bytes:
    """Return the RFC 8785 form of a JSON value.

    Raises:
        ReportError: `json.number` or `json.utf8`, the value has no such form: an integer beyond 2^53 - 1, an infinite
            number, a lone surrogate.
    """
    try:
        if type(value) is str and (text := _plain_text(value)):
            return text
        if type(value) is int and -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER:
            return b"%d" % value
        odd: list[float] = []
        return _with_numbers(_PLAIN.encode(_plain(value, odd)), odd).encode("utf-8")
    except (_NotPlainError, TypeError, UnicodeEncodeError, RecursionError):
        pass  # RFC 8785 has something of its own to say about it
    try:
        return rfc8785.dumps(cast("Any", value))
    except (rfc8785.IntegerDomainError, rfc8785.FloatDomainError) as error:
        raise ReportError("json.number", f"a number has no canonical form: {error}") from error
    except rfc8785.CanonicalizationError as error:
        raise ReportError("json.utf8", f"a string has no canonical form: {error}") from error


_ODD_NUMBER = re.compile(r'"\\u0000([0-9]+)"')
_PLAIN = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain_text(text: str) -> bytes:
    """Return the canonical form of a string, empty where it holds a control character other than a new line.

    A long text is written three times as fast this way as letter by letter.

    Raises:
        UnicodeEncodeError: it holds a lone surrogate.
    """
    data = text.encode("utf-8")
    if len(data.translate(None, _RARE)) < len(data):
        return b""
    return b'"%b"' % data.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")


class _NotPlainError(Exception):
    """A value that Python's own writer would not write as RFC 8785 does."""


def _with_numbers(text: str, odd: Sequence[float]) -> str:
    """Return the text with each number in its place; a string that looks like such a place is left to RFC 8785."""
    if not odd:
        return text
    if len(_ODD_NUMBER.findall(text)) != len(odd):
        raise _NotPlainError
    return _ODD_NUMBER.sub(lambda found: rfc8785.dumps(odd[int(found[1])]).decode(), text)


def _plain(value: object, odd: list[float]) -> object:
    """Return an equal value that Python's writer, ten times as fast, writes to the same bytes as RFC 8785 asks for.

    Both write strings alike. Numbers differ in whole floats (`1.0`) and beyond 1e-4 to 1e16: such a one goes to `odd`,
    and its number there stands for it. The order of members differs in names beyond ASCII.
    """
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if kind is int and -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER:  # type: ignore[operator]
        return value
    if kind is dict:
        members = cast("dict[str, object]", value)
        if "".join(members).isascii():
            return {name: _plain(member, odd) for name, member in members.items()}
    elif kind is list or kind is tuple:
        return [_plain(one, odd) for one in cast("list[object]", value)]
    elif kind is float:
        number = cast("float", value)
        if number == 0:
            return 0
        if 1e-4 <= abs(number) < 1e15:
            return int(number) if number.is_integer() else number
        if math.isfinite(number):
            odd.append(number)
            return f"\x00{len(odd) - 1}"
    raise _NotPlainError


def digest(noun: BaseModel) -> str:
    """Return the SHA-256 of a noun's canonical bytes, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(noun)).hexdigest()


def strict_json(data: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """Return the one JSON value that `data` holds.

    Integers beyond 2^53 - 1 come back as floats, as RFC 8785 section 3.2.2.3 reads every number.

    Raises:
        ReportError: `json.bom`, `json.utf8` (also a lone surrogate in an escape), `json.depth` (told before parsing),
            `json.duplicate_key`, `json.constant` (NaN, Infinity), `json.number` (over 40 characters, or infinite as a
            double), `json.syntax` (anything else, also a second value).
    """
    if data.startswith(b"\xef\xbb\xbf"):
        raise ReportError("json.bom", "the JSON begins with a byte order mark", "Write it as UTF-8 without one.")
    if data.count(b"[") + data.count(b"{") > max_depth and _depth(data) > max_depth:  # counting is cheap, and no less
        raise ReportError("json.depth", f"the JSON is nested more than {max_depth} deep")
    try:
        text = data.decode("utf-8")
        value = _STRICT.decode(text)
        if _SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError as error:
        raise ReportError("json.utf8", f"the JSON is not UTF-8: {error.reason}") from error  # type: ignore[attr-defined]
    except json.JSONDecodeError as error:
        raise ReportError("json.syntax", f"no JSON value: {error.msg} at character {error.pos}") from error
    return value


def _depth(data: bytes) -> int:
    brackets = _STRING.sub(b"", data).translate(None, _NOT_BRACKETS)
    return max(accumulate(_steps(brackets)), default=0)


def _steps(brackets: bytes) -> Iterator[int]:
    return map(_STEP.__getitem__, brackets)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ReportError("json.duplicate_key", f"the JSON names the member {twice[:80]!r} twice in one object")
    return members


def _integer(text: str) -> int | float:
    if len(text) > MAX_NUMBER:
        raise ReportError("json.number", f"the JSON holds a number of {len(text)} characters")
    value = int(text)
    return value if abs(value) <= _LARGEST_INTEGER else _float(text)


def _float(text: str) -> float:
    if len(text) > MAX_NUMBER or math.isinf(value := float(text)):
        raise ReportError("json.number", f"the JSON holds the number {text[:MAX_NUMBER]}, which no double can hold")
    return value


def _constant(text: str) -> NoReturn:
    raise ReportError("json.constant", f"the JSON holds {text}, which is no number", "A missing number is null.")


_STRICT = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)  # made once: making it takes as long as reading a short text
