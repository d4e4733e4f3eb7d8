"""Cases of the envelope: steps 2 to 6, before anything inside the payload is looked at."""

import base64
import json
import os
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from reports.dsse import Signature, sign
from tests.reports.conformance.cases import add, case
from tests.reports.conformance.world import AUDITOR, PROVIDER, STRANGER, World, signature_member

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

add("sound", "", "Nothing was touched.", lambda world: None)


def elsewhere(world: World) -> None:
    world.call["bundle"] = world.folder / "nowhere"


add("bundle-not-found", "bundle.not_found", "There is no such folder.", elsewhere)
add("no-envelope", "bundle.missing_envelope", "A folder without an envelope.", lambda world: world.envelope.unlink())


@case("bundle-is-a-file", "bundle.missing_envelope", "The path leads to a file.")
def bundle_is_a_file(world: World) -> None:
    world.call["bundle"] = world.folder / "model.bin"


@case("envelope-link", "bundle.not_file", "The envelope is a link, though to the sound one.")
def envelope_link(world: World) -> None:
    world.envelope.rename(world.folder / "elsewhere.json")
    world.envelope.symlink_to(world.folder / "elsewhere.json")


@case("envelope-fifo", "bundle.not_file", "The envelope is a FIFO: reading it would never end.")
def envelope_fifo(world: World) -> None:
    world.envelope.unlink()
    os.mkfifo(world.envelope)


@case("envelope-folder", "bundle.not_file", "The envelope is a folder.")
def envelope_folder(world: World) -> None:
    world.envelope.unlink()
    world.envelope.mkdir()


@case("envelope-large", "bundle.too_large", "65 MiB, most of it a hole.")
def envelope_large(world: World) -> None:
    os.truncate(world.envelope, 65 * 2**20)


def written(data: bytes) -> Any:
    return lambda world: world.envelope.write_bytes(data)


def around(before: bytes, after: bytes) -> Any:
    return lambda world: world.envelope.write_bytes(before + world.envelope.read_bytes() + after)


add("json-bom", "json.bom", "A byte order mark before the envelope.", around(b"\xef\xbb\xbf", b""))
add("json-utf8", "json.utf8", "A byte that is not UTF-8.", written(b'{"payload":"\xff"}'))
add("json-utf16", "json.utf8", "UTF-16 with its mark.", written('{"payload":""}'.encode("utf-16")))
add("json-surrogate", "json.utf8", "Half a surrogate pair, escaped.", written(b'{"payload":"\\ud800"}'))
add("json-constant", "json.constant", "NaN is no JSON.", written(b'{"payload":NaN}'))
add("json-infinity", "json.constant", "-Infinity is no JSON.", written(b'{"payload":-Infinity}'))
add("json-depth", "json.depth", "200,000 arrays in one another.", written(b"[" * 200_000 + b"]" * 200_000))
add("json-digits", "json.number", "An integer of 4,301 digits.", written(b'{"a":' + b"9" * 4301 + b"}"))
add("json-overflow", "json.number", "A number that no double holds.", written(b'{"a":1e999}'))
add("json-trailing", "json.syntax", "A second value after the envelope.", around(b"", b"{}"))
add("json-empty", "json.syntax", "An empty file.", written(b""))
add("json-comma", "json.syntax", "A trailing comma.", written(b'{"payload":"",}'))


@case("json-duplicate-key", "json.duplicate_key", "Two payloads: two readers could see two reports.")
def duplicate_key(world: World) -> None:
    world.envelope.write_bytes(b'{"payload":"e30=",' + world.envelope.read_bytes()[1:])


add("shape-array", "dsse.shape", "An array is no envelope.", written(b"[]"))
add("shape-no-payload", "dsse.shape", "No payload.", lambda world: world.set_envelope(payload=None))
add("shape-no-type", "dsse.shape", "No payload type.", lambda world: world.set_envelope(payloadType=None))
add("shape-no-list", "dsse.shape", "No list of signatures.", lambda world: world.set_envelope(signatures=None))
add("shape-number", "dsse.shape", "The payload is a number.", lambda world: world.set_envelope(payload=7))
add(
    "shape-bare", "dsse.shape", "A signature without sig.", lambda world: world.set_envelope(signatures=[{"keyid": ""}])
)
add("shape-text", "dsse.shape", "A signature that is text.", lambda world: world.set_envelope(signatures=["e30="]))


@case("payload-type", "dsse.payload_type", "The same bytes under another type mean something else.")
def payload_type(world: World) -> None:
    world.set_envelope(payloadType="application/json")


def spelled(spell: Callable[[str], str]) -> Any:
    """The case in which the payload's base64 is spelled another way."""
    return lambda world: world.set_envelope(payload=spell(world.members()["payload"]))


add(
    "base64-line-break",
    "dsse.base64",
    "A line break, as MIME has it.",
    spelled(lambda text: text[:76] + "\n" + text[76:]),
)
add("base64-blank", "dsse.base64", "A blank in front.", spelled(lambda text: " " + text))
add("base64-letter", "dsse.base64", "A letter of no alphabet.", spelled(lambda text: "!" + text[1:]))
add("base64-unpadded", "dsse.base64", "Without its padding.", spelled(lambda _: "e30"))
add("base64-overpadded", "dsse.base64", "More padding than it needs.", spelled(lambda text: text + "===="))
add("base64-stray-bits", "dsse.base64", "A second spelling: bits where padding hides them.", spelled(lambda _: "e31="))
add("base64-mixed", "dsse.base64", "Both alphabets in one text.", spelled(lambda _: "-_+/"))
add("base64-not-ascii", "dsse.base64", "A letter beyond ASCII.", spelled(lambda _: "é30="))


@case("base64-signature", "dsse.base64", "A signature is held to the same spelling.")
def base64_signature(world: World) -> None:
    world.set_envelope(signatures=[{"keyid": "", "sig": "e31="}])


@case("base64-url", "", "The URL-safe alphabet is allowed (DSSE protocol.md).")
def base64_url(world: World) -> None:
    members = world.members()
    for signature in members["signatures"]:
        signature["sig"] = signature["sig"].replace("+", "-").replace("/", "_")
    members["payload"] = members["payload"].replace("+", "-").replace("/", "_")
    world.set_envelope(**members)


@case("signatures-17", "dsse.too_many_signatures", "17 signatures, the sound ones among them.")
def seventeen(world: World) -> None:
    signatures = world.members()["signatures"]
    world.set_envelope(signatures=signatures + [signature_member(Signature("", b"junk"))] * 15)


@case("signatures-16", "", "14 junk signatures beside two sound ones neither help nor harm.")
def sixteen(world: World) -> None:
    signatures = world.members()["signatures"]
    world.set_envelope(signatures=[signature_member(Signature("", b"junk"))] * 14 + signatures)


@case("unknown-members", "", "Members that the standard does not name are ignored.")
def unknown_members(world: World) -> None:
    signatures = [entry | {"note": 1} for entry in world.members()["signatures"]]
    world.set_envelope(signatures=signatures, note={"a": [1]})


@case("keyids-lie", "", "A keyid is a hint and nothing else: swapped, absent or null.")
def keyids_lie(world: World) -> None:
    first, second = world.members()["signatures"]
    world.set_envelope(signatures=[{"sig": first["sig"]}, {"sig": second["sig"], "keyid": None}])


add("unsigned", "signature.missing", "Nobody signed.", lambda world: world.set_envelope(signatures=[]))


@case("stranger", "signature.untrusted", "A sound signature by a key that the trust file does not know.")
def stranger(world: World) -> None:
    world.sign(base64.b64decode(world.members()["payload"]), STRANGER)


@case("stranger-as-auditor", "signature.untrusted", "A stranger who borrows the auditor's keyid.")
def stranger_as_auditor(world: World) -> None:
    forged = sign(base64.b64decode(world.members()["payload"]), STRANGER)
    world.set_envelope(signatures=[signature_member(Signature(AUDITOR.keyid, forged.sig))])


@case("payload-bit", "signature.untrusted", "One bit of the payload is another.")
def payload_bit(world: World) -> None:
    body = bytearray(base64.b64decode(world.members()["payload"]))
    body[len(body) // 2] ^= 1
    world.set_envelope(payload=base64.b64encode(body).decode())


@case("raw-body-signed", "signature.untrusted", "The body was signed without the pre-authentication encoding.")
def raw_body_signed(world: World) -> None:
    body = base64.b64decode(world.members()["payload"])
    signatures = [signature_member(Signature(key.keyid, key.sign(body))) for key in (AUDITOR, PROVIDER)]
    world.set_envelope(signatures=signatures)


@case("high-s", "", "ECDSA has two signatures for each: (r, n - s) verifies as well as (r, s).")
def high_s(world: World) -> None:
    first, second = world.members()["signatures"]
    r, s = decode_dss_signature(base64.b64decode(first["sig"]))
    other = encode_dss_signature(r, P256_ORDER - s)
    world.set_envelope(signatures=[first | {"sig": base64.b64encode(other).decode()}, second])


@case("one-role-missing", "signature.threshold", "The provider did not sign.")
def one_role_missing(world: World) -> None:
    world.set_envelope(signatures=world.members()["signatures"][:1])


@case("one-key-twice", "signature.threshold", "Two auditors are required; one signed twice, under two keyids.")
def one_key_twice(world: World) -> None:
    world.write_trust(require={"auditor": 2})
    first, second = world.members()["signatures"]
    world.set_envelope(signatures=[first, first | {"keyid": "other"}, second])


@case("stranger-beside", "", "A third signature by a stranger neither helps nor harms.")
def stranger_beside(world: World) -> None:
    body = base64.b64decode(world.members()["payload"])
    world.sign(body, STRANGER, AUDITOR, PROVIDER)


@case("indented", "", "The envelope's own spelling is not signed: it may be indented.")
def indented(world: World) -> None:
    world.envelope.write_text(json.dumps(world.members(), indent=2))
