"""Cases of a bundle that travels as a zip: step 2, and the same tampering with evidence as in a folder."""

import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.reports.conformance import envelope_cases, evidence_cases, report_cases
from tests.reports.conformance.cases import CASES, Case, Tamper, add, case
from tests.reports.conformance.world import World
from tests.reports.conformance.zips import LINK, Part, deflated, parts_of, zipped

ALIKE = frozenset(
    {
        "sound", "no-envelope_fail", "envelope-folder_fail", "json-duplicate-key_fail", "payload-bit_fail",
        "stranger_fail", "unsigned_fail", "one-key-twice_fail", "other-model_fail", "other-policy_fail",
    }
)  # fmt: skip
"""Cases of these modules that are repeated in a zip: one of each step."""
assert {envelope_cases.__name__, report_cases.__name__} <= {one.tamper.__module__ for one in CASES}  # imported first


def pack(world: World, data: bytes) -> None:
    """Let the bundle be these bytes, under the name of a zip."""
    world.call["bundle"] = world.folder / "bundle.zip"
    (world.folder / "bundle.zip").write_bytes(data)


def packed(change: Callable[[list[Part]], list[Part]], **how: Any) -> Tamper:
    """The case in which the parts of the sound zip are changed."""
    return lambda world: pack(world, zipped(change(parts_of(world.bundle)), **how))


def more(*parts: Part) -> Tamper:
    """The case in which there are more parts: in render/, which may hold what it likes."""
    return packed(lambda sound: [*sound, *parts])


def changed(name: bytes, **fields: Any) -> Tamper:
    """The case in which the fields of one part are others; `name` is that of a file of the sound bundle, or its end."""
    return packed(lambda sound: [replace(one, **fields) if one.name.endswith(name) else one for one in sound])


def alike(one: Case) -> Tamper:
    """The case in a zip that somebody else's tool wrote."""

    def tamper(world: World) -> None:
        one.tamper(world)
        with zipfile.ZipFile(world.folder / "bundle.zip", "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted(world.bundle.rglob("*")):
                file.write(path, path.relative_to(world.bundle))
        world.call["bundle"] = world.folder / "bundle.zip"

    return tamper


IN_FOLDERS_ALONE = frozenset(
    f"evidence-{kind}_fail" for kind in ("link", "link-dangling", "parent-link", "root-link", "fifo")
)
"""What a zip cannot hold at all: `zip-link` and `zip-device` stand for them."""
for known in tuple(CASES):
    of_evidence = known.tamper.__module__ == evidence_cases.__name__ and known.name not in IN_FOLDERS_ALONE
    if known.name in ALIKE or of_evidence:
        add(f"zip-{known.name.removesuffix('_fail')}", known.code, f"In a zip: {known.why}", alike(known))

add("zip-by-hand", "", "A zip built field by field, as those below are.", packed(lambda sound: sound))
add("zip-stored", "", "Nothing is packed.", packed(lambda sound: [replace(one, method=0) for one in sound]))
add("zip-any-order", "", "The order of the members says nothing.", packed(lambda sound: sound[::-1]))


def streamed(one: Part) -> Part:
    told = struct.pack("<4sLLL", b"PK\x07\x08", zlib.crc32(one.data), len(deflated(one.data)), len(one.data))
    unknown = {"crc": 0, "packed": 0, "size": 0}
    return one if one.method == 0 else replace(one, flags=8, local=unknown, behind=told)


def wide(one: Part) -> Part:
    sizes = struct.pack("<HHQQ", 1, 16, len(one.data), len(deflated(one.data)))
    full = {"packed": 2**32 - 1, "size": 2**32 - 1}
    return one if one.method == 0 else replace(one, extra=sizes, local=full, central=full)


add("zip-streamed", "", "Sizes stand behind the data.", packed(lambda sound: [streamed(one) for one in sound]))
add("zip-64", "", "Sizes stand in the field for large ones.", packed(lambda sound: [wide(one) for one in sound]))


# --- no bundle at all -----------------------------------------------------------------------------------------------


@case("zip-is-none", "zip.syntax", "A file with the name of a zip, and nothing of one.")
def no_zip(world: World) -> None:
    pack(world, b"report.dsse.json")


@case("zip-is-a-fifo", "bundle.not_file", "A FIFO with the name of a zip: reading it would never end.")
def fifo(world: World) -> None:
    world.call["bundle"] = world.folder / "bundle.zip"
    os.mkfifo(world.folder / "bundle.zip")


@case("zip-empty", "bundle.missing_envelope", "A zip without a member.")
def empty(world: World) -> None:
    pack(world, zipped([]))


@case("zip-of-the-folder", "bundle.missing_envelope", "The folder was packed, not what is in it.")
def top_folder(world: World) -> None:
    pack(world, zipped(replace(one, name=b"bundle/" + one.name) for one in parts_of(world.bundle)))


@case("zip-cut-off", "zip.syntax", "The last byte is gone.")
def cut_off(world: World) -> None:
    pack(world, zipped(parts_of(world.bundle))[:-1])


@case("zip-tail", "zip.syntax", "Bytes behind the end, where a comment would stand.")
def tail(world: World) -> None:
    pack(world, zipped(parts_of(world.bundle)) + b"more")


@case("zip-two-in-one", "zip.syntax", "A second zip behind the first: readers differ in which one they open.")
def two_in_one(world: World) -> None:
    sound = zipped(parts_of(world.bundle))
    pack(world, sound + sound)


add("zip-disks", "zip.syntax", "It says that it lies on several disks.", packed(lambda sound: sound, end={"disk": 1}))
add("zip-count", "zip.syntax", "It counts fewer members than it has.", packed(lambda s: s, end={"here": 1, "count": 1}))
add("zip-start", "zip.syntax", "The directory is said to start elsewhere.", packed(lambda s: s, end={"start": 0}))
add("zip-64-gone", "zip.syntax", "It announces large sizes and has none.", packed(lambda s: s, end={"count": 65535}))

# --- members that mean something else elsewhere ---------------------------------------------------------------------

more_names = {
    "absolute": (b"/etc/passwd", "An absolute place."),
    "parent": (b"render/../../model.bin", "A place outside the bundle."),
    "parent-alone": (b"..", "The folder above."),
    "dot": (b"render/./report.pdf", "A second spelling of a place."),
    "doubled-slash": (b"render//report.pdf", "Another one."),
    "backslash": (b"render\\report.pdf", "A slash on one system, a letter on the next."),
    "drive": (b"C:report.pdf", "A drive on one system."),
    "stream": (b"render/report.html:more", "A second stream on one system."),
    "nul": (b"render/report.pdf\0.html", "Some readers end the name there."),
    "escape": (b"render/\x1b[2J", "A name that redraws a terminal."),
    "umlaut": ("render/Übersicht.html".encode(), "A letter that has two encodings."),
    "full-width": ("render/．．/report".encode(), "A letter that some systems fold to a dot."),
    "dot-at-the-end": (b"render/report.pdf.", "A dot that some systems drop."),
    "blank-at-the-end": (b"render/report.pdf ", "A blank that some systems drop."),
    "nothing": (b"", "No name at all."),
    "deep": (b"render/" + b"a/" * 9 + b"a", "Deeper than a bundle can be."),
    "long": (b"render/" + b"a" * 1024, "Longer than a name can be."),
}
for kind, (called, because) in more_names.items():
    add(f"zip-name-{kind}", "zip.member", because, more(Part(called, b"more")))

add(
    "zip-twice",
    "zip.member",
    "One name twice: readers differ in which they take.",
    more(Part(b"report.dsse.json", b"{}")),
)
add(
    "zip-twice-by-case",
    "zip.member",
    "Two names that are one on some file systems.",
    more(Part(b"Report.DSSE.json", b"{}")),
)
add("zip-file-and-folder", "zip.member", "A file with files in it.", more(Part(b"render/report.md/more", b"more")))
add(
    "zip-folder-as-file",
    "zip.member",
    "A folder under the name of a file.",
    more(Part(b"render/more", method=0, attributes=0o040755 << 16)),
)
add(
    "zip-dos-folder",
    "zip.member",
    "The same, as MS-DOS says it.",
    more(Part(b"render/more", method=0, attributes=0x10)),
)
add("zip-file-as-folder", "zip.member", "A file under the name of a folder.", more(Part(b"render/more/", method=0)))
add(
    "zip-folder-content",
    "zip.member",
    "A folder with content of its own.",
    more(Part(b"render/more/", b"more", method=0, attributes=0o040755 << 16)),
)
add(
    "zip-link",
    "zip.member",
    "A link out of the bundle.",
    more(Part(b"render/more", b"../../model.bin", attributes=LINK)),
)
add("zip-envelope-link", "zip.member", "The envelope is a link.", changed(b"report.dsse.json", attributes=LINK))
add("zip-reparse-point", "zip.member", "A link as Windows has it.", more(Part(b"render/more", attributes=0x400)))
add("zip-device", "zip.member", "A device.", more(Part(b"render/more", attributes=0o020644 << 16)))
add("zip-encrypted", "zip.member", "A member that needs a password.", changed(b"report.dsse.json", flags=1))
add("zip-patched", "zip.member", "A member that is a patch to another.", more(Part(b"render/more", b"x", flags=1 << 5)))
add("zip-method", "zip.member", "Packed by bzip2, which is not read.", more(Part(b"render/more", b"x", method=12)))
add("zip-comment", "zip.member", "A member with a comment.", changed(b"report.md", central={"comment": b"signed"}))
add("zip-disk", "zip.member", "A member on another disk.", changed(b"report.md", central={"disk": 1}))
add(
    "zip-second-name",
    "zip.member",
    "A second name in a field that some readers prefer (Info-ZIP, Unicode path).",
    changed(b"report.md", extra=struct.pack("<HHBL", 0x7075, 15, 1, 0) + b"other.html"),
)
add(
    "zip-field-cut",
    "zip.member",
    "A field that ends behind its place.",
    changed(b"report.md", extra=b"\x01\x00\x10\x00"),
)

# --- two headers, two stories ---------------------------------------------------------------------------------------

add(
    "zip-other-name",
    "zip.member",
    "Its own header names it otherwise.",
    changed(b"report.md", local={"name": b"report.nd"}),
)
add("zip-other-method", "zip.member", "Its own header packs it otherwise.", changed(b"report.md", local={"method": 0}))
add("zip-other-flags", "zip.member", "Its own header encrypts it.", changed(b"report.md", local={"flags": 1}))
add("zip-other-size", "zip.member", "Its own header makes it smaller.", changed(b"report.md", local={"size": 1}))
add("zip-other-crc", "zip.member", "Its own header has another CRC-32.", changed(b"report.md", local={"crc": 1}))
add("zip-prefix", "zip.member", "A program in front of it.", packed(lambda s: [replace(s[0], before=b"#!"), *s[1:]]))
add("zip-gap", "zip.member", "Bytes between two members.", changed(b"report.md", before=b"hidden"))
add("zip-gap-at-the-end", "zip.member", "Bytes in front of the directory.", packed(lambda s: s, tail=b"hidden"))
add("zip-shifted", "zip.member", "A header that lies elsewhere.", changed(b"report.md", central={"header": 7}))
add(
    "zip-overlap",
    "zip.member",
    "Two members in the same bytes: how a small zip becomes a large one.",
    more(Part(b"render/more", central={"header": 0})),
)
add(
    "zip-streamed-otherwise",
    "zip.member",
    "What stands behind the data is another size.",
    changed(b"report.md", flags=8, behind=struct.pack("<4sLLL", b"PK\x07\x08", 1, 2, 3)),
)
add("zip-streamed-not", "zip.member", "What should stand behind the data does not.", changed(b"report.md", flags=8))


def hiding(name: bytes, data: bytes) -> Part:
    """A member whose stream ends early, and behind that end another one: seen by who reads from a pipe, without us."""
    end = struct.pack("<4sLLL", b"PK\x07\x08", zlib.crc32(b"x"), len(deflated(b"x")), 1)
    inner = deflated(b"x") + end + zipped([Part(name, data)]).partition(b"PK\x01\x02")[0]
    told = struct.pack("<4sLLL", b"PK\x07\x08", zlib.crc32(b"x"), len(inner), 1)
    return Part(b"render/more", b"x", packed=inner, flags=8, local={"crc": 0, "packed": 0, "size": 0}, behind=told)


def hiding_stored(name: bytes, data: bytes) -> Part:
    """The same in a stored member: whoever reads from a pipe looks for the mark that ends it, and finds this one."""
    end = struct.pack("<4sLLL", b"PK\x07\x08", zlib.crc32(b"x"), 1, 1)
    inner = b"x" + end + zipped([Part(name, data, method=0)]).partition(b"PK\x01\x02")[0]
    told = struct.pack("<4sLLL", b"PK\x07\x08", zlib.crc32(inner), len(inner), len(inner))
    unknown = {"crc": 0, "packed": 0, "size": 0}
    return Part(b"render/more", inner, method=0, flags=8, local=unknown, behind=told)


add(
    "zip-hidden-member",
    "zip.member",
    "An unsigned member, read by nobody, hides a second envelope behind the end of its stream.",
    more(hiding(b"report.dsse.json", b"{}")),
)
add(
    "zip-hidden-member-stored",
    "zip.member",
    "One that is stored says where it ends only behind its content, and its content says so earlier.",
    more(hiding_stored(b"report.dsse.json", b"{}")),
)
add(
    "zip-rendering-crc",
    "zip.member",
    "The CRC-32 of an unsigned member is that of other bytes.",
    more(Part(b"render/more/deep/page", b"x", local={"crc": 7}, central={"crc": 7})),
)

# --- what comes out -------------------------------------------------------------------------------------------------

BOMB = bytes(2 * 2**20)
add("zip-bomb", "zip.ratio", "Two mebibytes of zeros in two thousand bytes.", more(Part(b"render/more", BOMB)))
add(
    "zip-bomb-in-pieces",
    "zip.ratio",
    "Twenty small ones: each alone would be none.",
    more(*(Part(b"render/%d" % number, BOMB[: 2**20]) for number in range(20))),
)


@case("zip-bomb-that-lies", "zip.ratio", "The envelope says that it is small, and inflates without end.")
def lying_bomb(world: World) -> None:
    whole = world.envelope.read_bytes()
    changed(b"report.dsse.json", packed=deflated(whole + BOMB))(world)


@case("zip-bomb-evidence", "zip.ratio", "A piece of evidence does so: it is found out while it is hashed.")
def lying_evidence(world: World) -> None:
    path = world.evidence("a plot")
    changed(path.name.encode(), packed=deflated(path.read_bytes() + BOMB))(world)


@case("zip-large", "zip.ratio", "A member says that it holds more than we read.")
def large(world: World) -> None:
    more(Part(b"render/more", b"x", local={"size": 2**31}, central={"size": 2**31}))(world)


@case("zip-many", "zip.ratio", "More members than a report can list.")
def many(world: World) -> None:
    sound = zipped([])
    wide_end = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2**30, 2**30, 0, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
    narrow_end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, 0, 0, 0)
    assert len(narrow_end) == len(sound)
    pack(world, wide_end + locator + narrow_end)


add(
    "zip-crc",
    "zip.member",
    "The CRC-32 is that of other bytes.",
    changed(b"report.dsse.json", local={"crc": 7}, central={"crc": 7}),
)
add(
    "zip-not-deflated",
    "zip.member",
    "The data is no deflate stream.",
    changed(b"report.dsse.json", packed=b"\xff" * 99),
)


@case("zip-short", "zip.member", "The data ends before its size is reached.")
def short(world: World) -> None:
    changed(b"report.dsse.json", packed=deflated(world.envelope.read_bytes()[:-1]))(world)


@case("zip-data-behind", "zip.member", "Bytes behind the end of the deflate stream, inside the member.")
def data_behind(world: World) -> None:
    changed(b"report.dsse.json", packed=deflated(world.envelope.read_bytes()) + b"hidden")(world)


@case("zip-evidence-crc", "zip.member", "Evidence whose CRC-32 was not mended after it was edited.")
def evidence_crc(world: World) -> None:
    path = world.evidence("a plot")
    changed(path.name.encode(), packed=deflated(b"x" * len(path.read_bytes())))(world)
