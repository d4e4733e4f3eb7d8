"""PNG images from raw pixels with nothing but zlib: a recovered digit should not cost an imaging library."""

import struct
import zlib

PNG_MEDIA_TYPE = "image/png"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}
"""Channels to the colour type of ISO/IEC 15948 section 11.2.2: grey, grey with alpha, RGB, RGB with alpha."""


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def encode_png(height: int, width: int, channels: int, pixels: bytes) -> bytes:
    """Return a PNG with 8 bits a sample (ISO/IEC 15948), every line unfiltered.

    Args:
        height: lines, at least one.
        width: pixels in a line, at least one.
        channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
        pixels: `height * width * channels` bytes, line by line from the top, channels innermost.

    Raises:
        ValueError: no such number of channels, an empty image, or the wrong number of bytes.
    """
    if channels not in _COLOUR_TYPE:
        raise ValueError(f"{channels} channels: a PNG has 1, 2, 3 or 4")
    if height < 1 or width < 1:
        raise ValueError(f"{height} x {width}: an image has at least one pixel")
    line = width * channels
    if len(pixels) != height * line:
        raise ValueError(f"{len(pixels)} bytes for {height} x {width} x {channels}: expected {height * line}")
    unfiltered = b"".join(b"\0" + pixels[row * line : (row + 1) * line] for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPE[channels], 0, 0, 0)
    data = zlib.compress(unfiltered, 9)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
