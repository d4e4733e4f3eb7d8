"""Cases of the evidence and the renderings: steps 16 and 17."""

import os
from typing import Any

from tests.reports.conformance.cases import add, case
from tests.reports.conformance.world import PIECES, RENDERED, World

add(
    "evidence-edited",
    "evidence.digest",
    "Same size, other bytes.",
    lambda world: world.evidence("a plot").write_bytes(b"x" * 15),
)
add("evidence-cut", "evidence.size", "The last byte is gone.", lambda world: os.truncate(world.evidence("a plot"), 14))
add("evidence-grown", "evidence.size", "One byte more.", lambda world: os.truncate(world.evidence("a plot"), 16))
add(
    "evidence-internal-gone",
    "evidence.missing",
    "Internal evidence must be there.",
    lambda world: world.evidence("a plot").unlink(),
)
add(
    "evidence-public-gone",
    "evidence.missing",
    "So must public evidence.",
    lambda world: world.evidence("a figure").unlink(),
)
add(
    "evidence-withheld",
    "",
    "Restricted evidence may be withheld.",
    lambda world: world.evidence("recovered digits").unlink(),
)
add("evidence-confidential-withheld", "", "So may confidential.", lambda world: world.evidence("quotes").unlink())


@case("evidence-withheld-denied", "evidence.withheld", "Unless the trust file denies it.")
def withheld_denied(world: World) -> None:
    world.write_trust(withheld='"deny"')
    world.evidence("recovered digits").unlink()


@case("evidence-withheld-by-default", "evidence.withheld", "Which it does where it says nothing.")
def withheld_by_default(world: World) -> None:
    world.write_trust(withheld=None)
    world.evidence("quotes").unlink()


@case("evidence-folder-withheld", "", "The folder of a withheld piece may go with it.")
def withheld_with_folder(world: World) -> None:
    path = world.evidence("recovered digits")
    path.unlink()
    path.parent.rmdir()


@case("evidence-all-gone", "evidence.missing", "No evidence folder at all.")
def all_gone(world: World) -> None:
    (world.bundle / "evidence").rename(world.folder / "evidence")


def added(path: str) -> Any:
    def add_file(world: World) -> None:
        place = world.bundle / path
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(b"more")

    return add_file


add("evidence-added", "evidence.unlisted", "A file that nobody signed.", added(f"evidence/{'ef' * 32}"))
add("evidence-added-below", "evidence.unlisted", "The same in a folder of its own.", added(f"evidence/ef/{'ef' * 32}"))
add("evidence-hidden", "evidence.unlisted", "A hidden file counts.", added("evidence/.DS_Store"))
add("bundle-added", "evidence.unlisted", "A file beside the envelope.", added("README"))
add("bundle-added-folder", "evidence.unlisted", "A folder beside the envelope.", added("more/README"))
add("render-added", "", "render/ is derived and unsigned: it may hold more.", added("render/report.pdf"))


@case("evidence-empty-folder", "evidence.unlisted", "An empty folder that belongs to no piece.")
def empty_folder(world: World) -> None:
    (world.bundle / "evidence" / "zz").mkdir()


@case("evidence-added-beside", "evidence.unlisted", "A file beside a listed one, in its folder.")
def added_beside(world: World) -> None:
    world.evidence("a plot").with_name("more").write_bytes(b"")


@case("evidence-link", "evidence.symlink", "A link to the very same bytes elsewhere.")
def link(world: World) -> None:
    path = world.evidence("a plot")
    path.rename(world.folder / "elsewhere")
    path.symlink_to(world.folder / "elsewhere")


@case("evidence-link-dangling", "evidence.symlink", "A link to nowhere is not withheld, it is a link.")
def dangling(world: World) -> None:
    path = world.evidence("recovered digits")
    path.unlink()
    path.symlink_to(world.folder / "nowhere")


@case("evidence-parent-link", "evidence.symlink", "The folder of a piece is a link.")
def parent_link(world: World) -> None:
    parent = world.evidence("a plot").parent
    parent.rename(world.folder / "elsewhere")
    parent.symlink_to(world.folder / "elsewhere")


@case("evidence-root-link", "evidence.symlink", "evidence/ itself is a link.")
def root_link(world: World) -> None:
    (world.bundle / "evidence").rename(world.folder / "elsewhere")
    (world.bundle / "evidence").symlink_to(world.folder / "elsewhere")


@case("evidence-fifo", "evidence.not_file", "A FIFO: reading it would never end.")
def fifo(world: World) -> None:
    world.evidence("a plot").unlink()
    os.mkfifo(world.evidence("a plot"))


@case("evidence-folder", "evidence.not_file", "A folder in place of a file.")
def folder(world: World) -> None:
    world.evidence("a plot").unlink()
    world.evidence("a plot").mkdir()


@case("evidence-parent-file", "evidence.not_file", "A file in place of the folder of a piece.")
def parent_file(world: World) -> None:
    path = world.evidence("quotes")
    path.unlink()
    path.parent.rmdir()
    path.parent.write_bytes(b"")


@case("evidence-root", "evidence.root", "The list is not the one that the root stands for.")
def wrong_root(world: World) -> None:
    def rename(statement: dict[str, Any]) -> None:
        statement["predicate"]["evidence"][0]["name"] = "another name"

    world.edit(rename)


@case("evidence-laundered", "evidence.root", "Restricted evidence relabelled public, the root left as it was.")
def laundered(world: World) -> None:
    def relabel(statement: dict[str, Any]) -> None:
        for piece in statement["predicate"]["evidence"]:
            piece["confidentiality"] = "public"

    world.edit(relabel)


def rendered(world: World) -> None:
    world.call["renderings"] = lambda report: RENDERED


add("renderings", "", "The renderings are what the report gives.", rendered)


@case("render-altered", "render.mismatch", "One letter of the page is another.")
def render_altered(world: World) -> None:
    rendered(world)
    page = world.bundle / "render" / "report.html"
    page.write_bytes(page.read_bytes().replace(b"ward", b"wart"))


@case("render-grown", "render.mismatch", "Something was appended to the page.")
def render_grown(world: World) -> None:
    rendered(world)
    with (world.bundle / "render" / "report.md").open("ab") as page:
        page.write(b"\n")


@case("render-gone", "render.mismatch", "The page is gone.")
def render_gone(world: World) -> None:
    rendered(world)
    (world.bundle / "render" / "report.md").unlink()


@case("render-not-asked", "", "Without the flag nobody looks at the page: it is derived, not signed.")
def render_not_asked(world: World) -> None:
    (world.bundle / "render" / "report.html").write_bytes(b"signed and valid!")


assert {name for *_, name in PIECES} == {"a plot", "a figure", "quotes", "recovered digits"}  # the names used above
