"""Tables to TOML text, for the files that fedaudit writes; reading is the standard library's.

Only what our files hold: strings, numbers, truth values, dates, arrays, tables and arrays of tables (TOML 1.0.0).
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import date

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SHORT = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def toml_text(tables: Mapping[str, object]) -> str:
    """Return `tables` as TOML; a key whose value is None is left out.

    Raises:
        ValueError: a value that TOML cannot hold, such as NaN, an array of mixed tables and values, or an object.
    """
    return "\n".join(_table(tables, ())).strip() + "\n"


def _table(table: Mapping[str, object], path: tuple[str, ...]) -> Iterator[str]:
    """Yield a table's own keys, which must come first, then the tables below it."""
    given = {key: value for key, value in table.items() if value is not None}
    for key, value in given.items():
        if not (isinstance(value, Mapping) or _is_tables(value)):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in given.items():
        here = (*path, key)
        name = ".".join(_key(part) for part in here)
        if isinstance(value, Mapping):
            yield f"\n[{name}]"
            yield from _table(value, here)
        elif _is_tables(value):
            for entry in value:  # type: ignore[attr-defined]  # _is_tables has looked
                yield f"\n[[{name}]]"
                yield from _table(entry, here)


def _is_tables(value: object) -> bool:
    if not isinstance(value, list | tuple) or not value:
        return False
    tables = [isinstance(entry, Mapping) for entry in value]
    if any(tables) and not all(tables):
        raise ValueError("an array holds tables or values, not both")
    return all(tables)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _string(value)
        case int():
            return str(value)
        case float() if math.isfinite(value):
            return repr(value)
        case date():
            return value.isoformat()
        case list() | tuple():
            return f"[{', '.join(_value(entry) for entry in value)}]"
    raise ValueError(f"TOML holds no {value!r} here; give text, a finite number, a truth value, a date or a list")


def _string(text: str) -> str:
    return '"' + "".join(_SHORT.get(letter) or _escaped(letter) for letter in text) + '"'


def _escaped(letter: str) -> str:
    return f"\\u{ord(letter):04X}" if letter < " " or letter == "\x7f" else letter
