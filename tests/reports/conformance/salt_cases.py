"""Cases of salted evidence: a file that begins with 32 secret bytes, checked as any other and withheld with them."""

import hashlib
from typing import Any

from reports.evidence import evidence_root
from reports.model import Confidentiality, Evidence, evidence_path
from reports.salting import SALT_BYTES, salted
from tests.reports.conformance.cases import add, case
from tests.reports.conformance.world import World

SALT = bytes(range(SALT_BYTES))
"""Secret nowhere but in its role: the cases are the same bytes on every machine."""


def with_salted(world: World, content: bytes = b'{"patient":417}', **changed: Any) -> None:
    """Let the report list one salted piece more, and have it signed; `changed` are fields as they should not be."""
    file = salted(content, lambda _: SALT)
    sha256 = hashlib.sha256(file).hexdigest()
    piece = Evidence(
        sha256=sha256,
        path=evidence_path(sha256, ".json.salted"),
        size=len(file),
        media_type="application/json",
        confidentiality=Confidentiality.RESTRICTED,
        name="one record",
        salted=True,
    )
    place = world.bundle / "evidence" / piece.path
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(file)

    def relist(statement: dict[str, Any]) -> None:
        report = statement["predicate"]
        listed = [*map(Evidence.model_validate, report["evidence"]), piece]
        report["evidence_root"] = evidence_root(listed)
        dumped = [one.model_dump(mode="json") for one in listed[:-1]]
        dumped.append(piece.model_dump(mode="json") | changed)
        report["evidence"] = sorted(dumped, key=lambda one: str(one["sha256"]))

    world.edit(relist)


add("salted", "", "A salted piece is checked as any other.", with_salted)
add("salted-empty", "", "A salt and nothing behind it.", lambda world: with_salted(world, b""))


@case("salted-withheld", "", "It is withheld as any other, and its salt with it.")
def salted_withheld(world: World) -> None:
    with_salted(world)
    world.evidence("one record").unlink()


@case("salted-other-salt", "evidence.digest", "The content is the same; the salt is another.")
def other_salt(world: World) -> None:
    with_salted(world)
    path = world.evidence("one record")
    path.write_bytes(bytes(SALT_BYTES) + path.read_bytes()[SALT_BYTES:])


@case("salted-bare", "evidence.size", "The salt was cut off: what is left is the content, and not what was signed.")
def bare(world: World) -> None:
    with_salted(world)
    path = world.evidence("one record")
    path.write_bytes(path.read_bytes()[SALT_BYTES:])


for kind, fields, code, why in (
    ("small", {"size": 31}, "report.inconsistent", "Smaller than its own salt."),
    ("internal", {"confidentiality": "internal"}, "report.inconsistent", "What may not be withheld is not salted."),
    ("public", {"confidentiality": "public"}, "report.inconsistent", "Least of all what is public."),
    ("unsaid", {"salted": False}, "report.schema", "The name of the file says salted, the report does not."),
    ("word", {"salted": "true"}, "report.schema", "A word is no truth value."),
):
    add(f"salted-{kind}", code, why, lambda world, fields=fields: with_salted(world, **fields))  # type: ignore[misc]


@case("salted-unnamed", "report.schema", "The report says salted, the name of the file does not.")
def unnamed(world: World) -> None:
    digest = hashlib.sha256(salted(b"{}", lambda _: SALT)).hexdigest()
    with_salted(world, b"{}", path=evidence_path(digest, ".json"))
