"""The Distinguished Encoding Rules, as far as they are written here (ITU-T X.690); reading is left to libraries."""

_INTEGER, _OCTETS, _NULL, _OBJECT, _SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30


def sequence(*elements: bytes) -> bytes:
    """Return a SEQUENCE of encoded elements."""
    return _element(_SEQUENCE, b"".join(elements))


def octets(content: bytes) -> bytes:
    """Return an OCTET STRING."""
    return _element(_OCTETS, content)


def integer(value: int) -> bytes:
    """Return an INTEGER that is not negative; a leading zero bit keeps it so."""
    return _element(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def null() -> bytes:
    """Return NULL."""
    return _element(_NULL, b"")


def identifier(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER: the first two arcs share a byte, the others are base 128 (section 8.19)."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    body = bytes([40 * first + second])
    for arc in rest:
        sevens = [arc >> shift & 0x7F for shift in range(0, max(arc.bit_length(), 1), 7)]
        body += bytes([0x80 | seven for seven in reversed(sevens[1:])] + sevens[:1])
    return _element(_OBJECT, body)


def _element(tag: int, content: bytes) -> bytes:
    """Return tag, length and content (section 8.1)."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    width = (size.bit_length() + 7) // 8
    return bytes([tag, 0x80 | width]) + size.to_bytes(width, "big") + content
