"""Cases of the signed bytes: steps 7 to 15. The signers' keys are sound; what they signed is not."""

import base64
from datetime import timedelta
from typing import Any

from reports.canonical import canonical_json
from tests.reports.conformance.cases import add, case
from tests.reports.conformance.world import NOW, STRANGER, World


def body_of(world: World) -> bytes:
    return base64.b64decode(world.members()["payload"])


def signed(edit: Any) -> Any:
    """The case in which the signers sign what `edit` makes of the body."""
    return lambda world: world.sign(edit(body_of(world)))


def stated(change: Any) -> Any:
    """The case in which the signers sign a changed statement, in canonical form."""
    return lambda world: world.edit(change)


def predicate(change: Any) -> Any:
    """The same for a change of the report alone."""
    return stated(lambda statement: change(statement["predicate"]))


def setting(*path: str | int, to: object) -> Any:
    """A change that sets one value of the report."""

    def change(report: dict[str, Any]) -> None:
        here: Any = report
        for part in path[:-1]:
            here = here[part]
        here[path[-1]] = to

    return predicate(change)


add("payload-no-json", "json.syntax", "Signed, but no JSON.", lambda world: world.sign(b"ward"))
add("payload-constant", "json.constant", "NaN inside the payload.", lambda world: world.sign(b'{"a":NaN}'))
add("payload-twice", "json.duplicate_key", "A key twice inside.", signed(lambda body: b'{"_type":"x",' + body[1:]))
add("payload-bom", "json.bom", "A byte order mark inside.", signed(lambda body: b"\xef\xbb\xbf" + body))
add("payload-depth", "json.depth", "Too deep inside.", lambda world: world.sign(b"[" * 65 + b"]" * 65))
add("spaced", "statement.not_canonical", "A blank that RFC 8785 leaves out.", signed(lambda body: body + b"\n"))
add(
    "reordered",
    "statement.not_canonical",
    "Members in another order.",
    signed(lambda body: b'{"subject":[],' + body[1:].replace(b'"subject":', b'"subjects":')),
)
add(
    "number-spelling",
    "statement.not_canonical",
    "A number in another spelling.",
    signed(lambda body: body.replace(b'"value":0}', b'"value":0.0}')),
)
add(
    "large-integer",
    "statement.not_canonical",
    "An integer that doubles round: 12345678901234567890.",
    signed(lambda body: body.replace(b'"size":7', b'"size":12345678901234567890')),
)
add(
    "type-v0.1",
    "statement.type",
    "An older statement.",
    stated(lambda s: s.update(_type="https://in-toto.io/Statement/v0.1")),
)
add("not-an-object", "statement.type", "The payload is a list.", lambda world: world.sign(b"[]"))
add(
    "predicate-v2",
    "statement.predicate_type",
    "A version that this reader would misread.",
    stated(lambda s: s.update(predicateType="urn:fedaudit:audit-report:v2")),
)
add("unknown-field", "report.schema", "A field that nobody knows.", setting("verdict", to="passed"))
add(
    "unknown-field-escape",
    "report.schema",
    "A field whose name would clear the reader's terminal: it is told, not obeyed.",
    predicate(lambda report: report.update({"\x1b[2J": 1})),
)
add("unknown-statement-field", "report.schema", "The same beside the predicate.", stated(lambda s: s.update(note="")))
add("absolute-path", "report.schema", "A path from the root.", setting("system", "source", "path", to="/etc/passwd"))
add("climbing-path", "report.schema", "A path upwards.", setting("system", "source", "path", to="../system.toml"))
add(
    "evidence-path",
    "report.schema",
    "Evidence not named by its digest.",
    setting("evidence", 0, "path", to=f"ab/{'ab' * 32}"),
)
add("no-subject", "report.schema", "A report about nothing.", stated(lambda s: s.update(subject=[])))
add("upper-case-digest", "report.schema", "Digests are lower case.", setting("evidence_root", to="AB" * 32))
add(
    "other-digits",
    "report.schema",
    "A date in Arabic digits.",
    setting("provenance", "started", to="٢٠٢٦-11-20T09:30:00Z"),
)
add("number-as-text", "report.schema", "A number in quotes.", setting("provenance", "root_seed", to="7"))
add("bool-as-number", "report.schema", "true is not 1.", setting("provenance", "threads", to=True))
add("bool-as-version", "report.schema", "Nor is it version 1.", setting("provenance", "schema_version", to=True))
add("control-character", "report.schema", "A terminal escape in the text.", setting("system", "name", to="ward\x1b[2J"))
add(
    "interval-backwards",
    "report.schema",
    "low above high.",
    setting("findings", 0, "measurements", 0, "interval", "low", to=0.9),
)
add(
    "seed-beyond-2-53",
    "report.schema",
    "A seed that doubles round.",
    setting("provenance", "root_seed", to=float(2**53)),
)

add("unsorted", "report.inconsistent", "Findings out of order.", predicate(lambda report: report["findings"].reverse()))
add(
    "finding-twice",
    "report.inconsistent",
    "One finding twice.",
    predicate(lambda r: r["findings"].insert(0, r["findings"][0])),
)
add(
    "fingerprint",
    "report.inconsistent",
    "Another system's fingerprint.",
    setting("findings", 0, "fingerprint", to="0" * 32),
)
add("renamed", "report.inconsistent", "The system renamed under its findings.", setting("system", "name", to="ward 2"))
add("evidence-unsorted", "report.inconsistent", "Evidence out of order.", predicate(lambda r: r["evidence"].reverse()))
add(
    "cites-nothing",
    "report.inconsistent",
    "A citation of evidence that is not listed.",
    setting("findings", 0, "evidence", to=["ef" * 32]),
)
add(
    "control-cites-nothing",
    "report.inconsistent",
    "A duty on no finding.",
    setting("controls", 0, "findings", to=["0" * 32]),
)
add(
    "ends-before-start",
    "report.inconsistent",
    "finished < started.",
    setting("provenance", "started", to="2026-11-20T09:30:01Z"),
)
add(
    "pass-over-limit",
    "report.inconsistent",
    "A pass above its own limit.",
    setting("findings", 0, "measurements", 0, "value", to=0.06),
)
add(
    "pass-without-trials",
    "report.inconsistent",
    "A pass on no trial.",
    setting("findings", 0, "measurements", 0, "n", to=0),
)
add(
    "pass-without-n",
    "report.inconsistent",
    "A pass on unsaid trials.",
    setting("findings", 0, "measurements", 0, "n", to=None),
)
add(
    "pass-without-control",
    "report.inconsistent",
    "A pass that could not fail.",
    setting("findings", 0, "measurements", 0, "control", to=None),
)
add(
    "pass-without-interval",
    "report.inconsistent",
    "A point estimate.",
    setting("findings", 0, "measurements", 0, "interval", to=None),
)
add(
    "pass-without-numbers",
    "report.inconsistent",
    "No measurement at all.",
    setting("findings", 0, "measurements", to=[]),
)
add(
    "seed-not-derived",
    "report.inconsistent",
    "A chosen seed that is said to be derived.",
    setting("provenance", "root_seed", to=7),
)
add(
    "nonce-swapped",
    "report.inconsistent",
    "A nonce that came after the run.",
    setting("provenance", "nonce", to="later"),
)
add(
    "seed-chosen",
    "",
    "A chosen seed that says so.",
    predicate(lambda r: r["provenance"].update(root_seed=7, seed_source="chosen")),
)
add(
    "screening-needs-no-interval",
    "",
    "Only a statistical pass must bear one.",
    predicate(lambda r: r["findings"][0].update(strength="screening", measurements=[])),
)
add("field-left-out", "", "A field with a default may be absent.", predicate(lambda r: r["findings"][0].pop("detail")))


def called(**arguments: Any) -> Any:
    return lambda world: world.call.update(arguments)


add(
    "future",
    "time.future",
    "Finished in six minutes from now.",
    setting("provenance", "finished", to="2026-11-21T12:06:00Z"),
)
add(
    "clock-skew", "", "Four minutes ahead: clocks differ.", setting("provenance", "finished", to="2026-11-21T12:04:00Z")
)
add("too-old", "time.expired", "91 days old; the trust file allows 90.", called(now=NOW + timedelta(days=90)))
add("old-enough", "", "89 days old.", called(now=NOW + timedelta(days=88)))
add(
    "timestamp",
    "time.timestamp",
    "A time-stamp is required.",
    lambda world: world.write_trust(require_timestamp="true"),
)


@case("other-model", "subject.mismatch", "The report is about another model.")
def other_model(world: World) -> None:
    (world.folder / "model.bin").write_bytes(b"weightz")


@case("second-subject", "subject.mismatch", "The first subject matches; the second does not.")
def second_subject(world: World) -> None:
    world.call["subjects"] = [world.folder / "model.bin", world.folder / "auditor.pub"]


@case("signature-only", "", "Said out loud, the model is not looked at; nor is the evidence.")
def signature_only(world: World) -> None:
    (world.folder / "model.bin").unlink()
    world.evidence("a figure").write_bytes(b"other")
    world.call["signature_only"] = True


add("no-subject-given", "subject.not_given", "Verified against nothing.", called(subjects=[]))
add("subject-not-found", "subject.not_found", "No such model.", lambda world: (world.folder / "model.bin").unlink())
add("policy", "", "The committed policy.", called(policy_sha256="ab" * 32))
add("other-policy", "policy.not_committed", "Another policy than the committed one.", called(policy_sha256="cd" * 32))


@case("no-policy", "policy.not_committed", "The run was committed to no policy.")
def no_policy(world: World) -> None:
    def change(statement: dict[str, Any]) -> None:
        statement["predicate"]["provenance"] |= {"policy_sha256": None, "seed_source": "chosen"}

    world.edit(change)
    world.call["policy_sha256"] = "ab" * 32


@case("order-of-codes", "signature.untrusted", "Everything is wrong; the first step that sees it answers.")
def order_of_codes(world: World) -> None:
    statement = world.statement() | {"_type": "x"}
    world.sign(canonical_json(statement), STRANGER)
    world.evidence("a figure").unlink()
    world.call["subjects"] = []
