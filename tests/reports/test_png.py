"""PNG: a decoder written from ISO/IEC 15948 gives back what was encoded."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.png import encode_png


def decoded(png: bytes) -> tuple[int, int, int, bytes]:
    """Return height, width, channels and pixels of an unfiltered 8-bit PNG; every chunk's checksum is verified."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks: list[tuple[bytes, bytes]] = []
    at = 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + data)
        chunks.append((kind, data))
        at += 12 + length
    assert [kind for kind, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", chunks[0][1])
    assert (depth, compression, filtering, interlace) == (8, 0, 0, 0)
    channels = {0: 1, 4: 2, 2: 3, 6: 4}[colour]
    raw = zlib.decompress(chunks[1][1])
    lines = [raw[i : i + 1 + width * channels] for i in range(0, len(raw), 1 + width * channels)]
    assert len(lines) == height
    assert all(line[0] == 0 for line in lines)
    return height, width, channels, b"".join(line[1:] for line in lines)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.data())
def test_what_was_encoded_is_decoded(height: int, width: int, channels: int, data: st.DataObject) -> None:
    pixels = data.draw(st.binary(min_size=height * width * channels, max_size=height * width * channels))
    assert decoded(encode_png(height, width, channels, pixels)) == (height, width, channels, pixels)


@pytest.mark.parametrize(
    ("height", "width", "channels", "size"),
    [(2, 2, 1, 3), (2, 2, 1, 5), (0, 2, 1, 0), (2, 0, 1, 0), (1, 1, 5, 5), (1, 1, 0, 0)],
)
def test_pixels_that_do_not_fit_the_shape_are_refused(height: int, width: int, channels: int, size: int) -> None:
    with pytest.raises(ValueError, match=r"expected|at least one|channels"):
        encode_png(height, width, channels, bytes(size))
