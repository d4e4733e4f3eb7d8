"""Cases of time-stamps: who may vouch for a signing time (step 1), whether anybody did (12), what it is worth (13)."""

import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from reports.dsse import parse_envelope
from reports.keyfile import private_pem
from reports.keys import PrivateKey
from tests.reports.authority import (
    ISSUER,
    ROOT,
    SHA1,
    TIME_STAMPING,
    TSA,
    StampingAuthority,
    certificate,
    pem,
    private,
)
from tests.reports.conformance.cases import add, case
from tests.reports.conformance.trust_cases import AUDITOR_ENTRY, PROVIDER_ENTRY
from tests.reports.conformance.world import AUDITOR, FINISHED, NOW, PROVIDER, RFC_6979_KEY, World

LATER = FINISHED + timedelta(hours=1)
"""When the authority is asked, unless a case says otherwise."""
OTHER = StampingAuthority("Other TSA", 13, serial=8)
"""An authority that no trust file lists."""
LISTED = [{"certificate": '"tsa.pem"'}]


def stamp(world: World, key: PrivateKey, token: bytes | Callable[[bytes], bytes]) -> None:
    """Put a token beside the signature of a key, or what a function makes of the signature."""
    envelope = parse_envelope(world.envelope.read_bytes())
    [signature] = envelope.signatures_of(key.public)
    made = token if isinstance(token, bytes) else token(signature.sig)
    world.envelope.write_bytes(envelope.with_timestamp(signature, made).to_bytes())


def list_authority(world: World, chain: bytes = TSA.pem, **keys: Any) -> None:
    """Have the trust file list an authority; further keys replace its own."""
    (world.folder / "tsa.pem").write_bytes(chain)
    world.write_trust(**{"timestamp_authorities": LISTED} | keys)


def required(token: bytes | Callable[[bytes], bytes], **keys: Any) -> Callable[[World], None]:
    """The case in which times must be vouched for, and the auditor's signature bears that token."""

    def tamper(world: World) -> None:
        list_authority(world, require_timestamp="true", require={"auditor": 1}, **keys)
        stamp(world, AUDITOR, token)

    return tamper


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def at(moment: datetime, authority: StampingAuthority = TSA, **slips: Any) -> Callable[[bytes], bytes]:
    """What an authority makes of a signature at a moment."""
    return lambda signature: authority.token(signature, moment, **slips)


def refused(name: str, why: str, token: bytes | Callable[[bytes], bytes]) -> None:
    """The same token is refused where times must be vouched for, and worth as much as none where they need not be."""
    add(f"timestamp-{name}", "time.timestamp", why, required(token))

    def tamper(world: World) -> None:
        list_authority(world)
        stamp(world, AUDITOR, token)

    add(f"timestamp-{name}-optional", "", f"Nobody requires one, and anybody could have added it: {why}", tamper)


add("timestamp-required", "", "Each signature that counts bears a time by a listed authority.", required(at(LATER)))
add("timestamp-nonce", "", "A nonce changes nothing.", required(at(LATER, nonce=2**63)))
add(
    "timestamp-embedded",
    "",
    "A token may bring its certificates.",
    required(at(LATER, embedded=(TSA.certificate, ROOT))),
)
add("timestamp-last-moment", "", "The clocks may lie five minutes apart.", required(at(NOW + timedelta(minutes=5))))
add("timestamp-first-moment", "", "Either way.", required(at(FINISHED - timedelta(minutes=5))))
refused("junk", "No token.", b"ward")
refused("empty-sequence", "An empty one.", b"0\x00")
refused("whole-reply", "The reply, where its token belongs.", lambda sig: TSA.reply(sig, LATER))
refused("long", "More than 64 KiB.", b"\x30" * (1 << 17))
refused("trailing", "A byte behind it.", lambda sig: TSA.token(sig, LATER) + b"\0")
refused("of-the-report", "It is about the report, which a thief could sign later.", TSA.token(b"the report", LATER))
refused("of-another", "It is about another signature.", TSA.token(b"another", LATER))
refused("sha1", "Its digest is SHA-1.", at(LATER, imprint=SHA1))
refused("digest-sha1", "Its content is digested with SHA-1.", at(LATER, digest=SHA1))
refused("unlisted", "By an authority that the trust file does not list.", at(LATER, OTHER))
refused("same-number", "By one that bears the listed one's issuer and serial number.", at(LATER, signing_scalar=13))
refused("by-the-issuer", "By the issuer of the listed one.", at(LATER, signer=ROOT, signing_scalar=11))
refused("two-signers", "Signed twice.", at(LATER, signers=2))
refused("no-signer", "Signed by nobody.", at(LATER, signers=0))
refused("to-come", "From a time that is to come.", at(NOW + timedelta(minutes=5, seconds=1)))
refused("vague", "It could be from a time that is to come.", at(LATER, accuracy=10**6))
refused("vaguer", "It could be from any time.", at(LATER, accuracy=10**17))
refused(
    "unordered",
    "Its certificates are not in the order of DER.",
    at(LATER, embedded=(TSA.certificate, ROOT), in_order=False),
)
refused(
    "of-another-time",
    "The time was altered afterwards.",
    lambda sig: TSA.token(sig, LATER).replace(b"20261120103000Z", b"20261120103001Z"),
)
refused(
    "imprint-exchanged",
    "A token about other bytes, with our digest written over theirs.",
    lambda sig: TSA.token(b"x" * 9, LATER).replace(digest(b"x" * 9), digest(sig)),
)


EARLY = FINISHED - timedelta(minutes=5, seconds=1)
add("timestamp-too-early", "time.timestamp", "Signed before the report says that it was finished.", required(at(EARLY)))


@case("timestamp-too-early-optional", "time.timestamp", "Whoever vouches for it, the report's time is a lie.")
def too_early(world: World) -> None:
    list_authority(world)
    stamp(world, AUDITOR, at(EARLY))


@case("timestamp-expired-authority", "time.timestamp", "The authority's certificate had expired by then.")
def expired_authority(world: World) -> None:
    old = StampingAuthority(window=(datetime(2020, 1, 1, tzinfo=UTC), FINISHED))
    required(at(LATER, old))(world)
    (world.folder / "tsa.pem").write_bytes(old.pem)


@case("timestamp-expired-since", "", "It expired since: what it vouched for before stands.")
def expired_since(world: World) -> None:
    old = StampingAuthority(window=(datetime(2020, 1, 1, tzinfo=UTC), LATER + timedelta(seconds=1)))
    required(at(LATER, old))(world)
    (world.folder / "tsa.pem").write_bytes(old.pem)


@case("timestamp-none-listed", "time.timestamp", "A time is required, and nobody is listed who could vouch for it.")
def none_listed(world: World) -> None:
    stamp(world, AUDITOR, at(LATER))
    world.write_trust(require_timestamp="true", require={"auditor": 1})


@case("timestamp-one-of-two", "time.timestamp", "Each of the signatures that are required must bear one.")
def one_of_two(world: World) -> None:
    list_authority(world, require_timestamp="true")
    stamp(world, AUDITOR, at(LATER))


@case("timestamp-one-of-two-auditors", "time.timestamp", "The same in one role: two signed, one is stamped.")
def one_of_two_auditors(world: World) -> None:
    both = [AUDITOR_ENTRY, PROVIDER_ENTRY | {"role": '"auditor"'}]
    list_authority(world, require_timestamp="true", require={"auditor": 2}, keys=both)
    stamp(world, AUDITOR, at(LATER))


@case("timestamp-one-is-enough", "", "One is required; that the other bears no time does no harm.")
def one_is_enough(world: World) -> None:
    one_of_two_auditors(world)
    both = [AUDITOR_ENTRY, PROVIDER_ENTRY | {"role": '"auditor"'}]
    list_authority(world, require_timestamp="true", require={"auditor": 1}, keys=both)


@case("timestamp-two-of-two", "", "Both bear one.")
def two_of_two(world: World) -> None:
    one_of_two(world)
    stamp(world, PROVIDER, at(LATER))


@case("timestamp-second-authority", "", "Any of the listed authorities will do.")
def second_authority(world: World) -> None:
    required(at(LATER, OTHER), timestamp_authorities=[*LISTED, {"certificate": '"other.pem"'}])(world)
    (world.folder / "other.pem").write_bytes(OTHER.pem)


def auditor(token: bytes | Callable[[bytes], bytes] | None, **keys: Any) -> Callable[[World], None]:
    """The case in which the auditor's entry has other keys, and the signature may bear a token."""

    def tamper(world: World) -> None:
        list_authority(world, keys=[AUDITOR_ENTRY | keys, PROVIDER_ENTRY])
        if token is not None:
            stamp(world, AUDITOR, token)

    return tamper


BEFORE, AFTER = "2026-11-20T10:30:00Z", "2026-11-20T10:30:01Z"
"""When `LATER` is, and the second after it."""
RETIRED, COMPROMISED = {"revoked_reason": '"retired"'}, {"revoked_reason": '"compromised"'}
THRESHOLD = "signature.threshold"
add("stamped-last-second", "", "The last second of the window counts.", auditor(at(LATER), not_after=BEFORE))
add(
    "stamped-after-window",
    THRESHOLD,
    "Stamped when it had expired.",
    auditor(at(LATER), not_after="2026-11-20T10:29:59Z"),
)
add("unstamped-in-window", "", "The same without: the report's word.", auditor(None, not_after="2026-11-20T10:29:59Z"))
add(
    "stamped-first-second",
    "",
    "A key made after the report was finished signs it later.",
    auditor(at(LATER), not_before=BEFORE),
)
add("stamped-before-window", THRESHOLD, "Stamped before its window.", auditor(at(LATER), not_before=AFTER))
add("unstamped-later-key", THRESHOLD, "A later key without a stamp.", auditor(None, not_before=BEFORE))
add("stamped-before-retired", "", "Retired since.", auditor(at(LATER), revoked_at=AFTER, **RETIRED))
add(
    "stamped-after-retired", THRESHOLD, "Stamped when it was retired.", auditor(at(LATER), revoked_at=BEFORE, **RETIRED)
)
add("stamped-before-compromised", "", "No thief had it yet.", auditor(at(LATER), revoked_at=AFTER, **COMPROMISED))
add("stamped-after-compromised", THRESHOLD, "A thief may have.", auditor(at(LATER), revoked_at=BEFORE, **COMPROMISED))
add(
    "stamped-at-about-compromised",
    THRESHOLD,
    "The clock's accuracy leaves it open.",
    auditor(at(LATER, accuracy=1), revoked_at=AFTER, **COMPROMISED),
)
add(
    "unstamped-compromised",
    THRESHOLD,
    "A report dated before proves nothing.",
    auditor(None, revoked_at=AFTER, **COMPROMISED),
)
add(
    "compromised-unlisted",
    THRESHOLD,
    "Nor does an authority that nobody listed.",
    auditor(at(LATER, OTHER), revoked_at=AFTER, **COMPROMISED),
)


@case("stamped-twice", "", "Of two time-stamps on copies of one signature the earlier proves more.")
def stamped_twice(world: World) -> None:
    auditor(at(LATER + timedelta(days=1)), revoked_at=AFTER, **COMPROMISED)(world)
    members = world.members()
    early = TSA.token(base64.b64decode(members["signatures"][0]["sig"]), LATER)
    copy = members["signatures"][0] | {"timestamp": base64.b64encode(early).decode()}
    world.set_envelope(signatures=[*members["signatures"], copy])


def listed(chain: bytes) -> Callable[[World], None]:
    return lambda world: list_authority(world, chain)


def own(*extensions: tuple[x509.ExtensionType, bool], key: Any = None) -> bytes:
    """The file of an authority whose certificate has these extensions."""
    made = certificate("Test TSA", key or private(12).public_key(), "Test Root", private(11), *extensions)
    return pem(made, ROOT)


UNFIT = "trust.authority"
STAMPING, SIGNING = ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING
add("authority-listed", "", "An authority that is not needed.", listed(TSA.pem))
add("authority-junk", UNFIT, "No certificate.", listed(b"ward"))
add("authority-empty", UNFIT, "An empty file.", listed(b""))
add("authority-broken", UNFIT, "A certificate cut short.", listed(TSA.pem.replace(b"\n", b"", 3)[:200] + b"\n"))
add("authority-long", UNFIT, "More than 64 KiB.", listed(TSA.pem * 60))
add("authority-many", UNFIT, "More certificates than make a chain.", listed(TSA.pem + 8 * pem(ROOT)))
add("authority-alone", UNFIT, "Without its issuer nothing can be verified.", listed(pem(TSA.certificate)))
add("authority-root-first", UNFIT, "The issuer in place of the authority.", listed(pem(ROOT, TSA.certificate)))
add("authority-root-alone", UNFIT, "An issuer stamps nothing.", listed(pem(ROOT)))
add("authority-stranger", UNFIT, "The issuer is another one.", listed(pem(TSA.certificate, OTHER.certificate)))
add("authority-usage-absent", UNFIT, "A certificate for anything.", listed(own()))
add(
    "authority-usage-not-critical",
    UNFIT,
    "RFC 3161 section 2.3: the extended key usage is critical.",
    listed(own((TIME_STAMPING[0], False))),
)
add("authority-usage-other", UNFIT, "For signing code.", listed(own((x509.ExtendedKeyUsage([SIGNING]), True))))
add(
    "authority-usage-more",
    UNFIT,
    "For more than stamping.",
    listed(own((x509.ExtendedKeyUsage([STAMPING, SIGNING]), True))),
)
add("authority-issues", UNFIT, "One that issues certificates.", listed(own(TIME_STAMPING, ISSUER)))
add(
    "authority-weak",
    UNFIT,
    "RSA with 1024 bits.",
    listed(own(TIME_STAMPING, key=rsa.RSAPublicNumbers(65537, (1 << 1023) + 1).public_key())),
)
add(
    "authority-self",
    "trust.duplicate_key",
    "The auditor vouches for the auditor's own time.",
    listed(own(TIME_STAMPING, key=private(RFC_6979_KEY).public_key())),
)
add(
    "authority-private", "trust.private_key", "A private key in the file.", listed(TSA.pem + private_pem(AUDITOR, None))
)


@case("authority-gone", UNFIT, "The file is not there.")
def gone(world: World) -> None:
    world.write_trust(timestamp_authorities=LISTED)


@case("authority-unknown-key", "trust.syntax", "A slip in the entry.")
def unknown_key(world: World) -> None:
    world.write_trust(timestamp_authorities=[{"certificat": '"tsa.pem"'}])
