"""Cases of the trust file: step 1, and the keys whose signatures do not count (step 13)."""

import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from reports.keyfile import private_pem
from tests.reports.conformance.cases import add, case
from tests.reports.conformance.world import AUDITOR, TRUST, World, fixed_key

AUDITOR_ENTRY, PROVIDER_ENTRY = TRUST["keys"]


def trust(**keys: Any) -> Any:
    return lambda world: world.write_trust(**keys)


def auditor(**keys: Any) -> Any:
    """The case in which the auditor's entry has other keys; None removes one."""
    return trust(keys=[AUDITOR_ENTRY | keys, PROVIDER_ENTRY])


def appended(text: str) -> Any:
    def append(world: World) -> None:
        with (world.folder / "trust.toml").open("a") as file:
            file.write(text)

    return append


def written(world: World, data: bytes) -> None:
    (world.folder / "trust.toml").write_bytes(data)


def pipe(path: Path) -> None:
    """A FIFO in place of a file."""
    path.unlink()
    os.mkfifo(path)


NOON = "2026-01-01T12:00:00Z"
add("trust-not-found", "trust.not_found", "No trust file.", lambda world: (world.folder / "trust.toml").unlink())
add("trust-no-toml", "trust.syntax", "No TOML.", appended("[[\n"))
add("trust-unknown-key", "trust.syntax", "A slip in a key's name must not loosen the rules.", trust(witheld='"deny"'))
add("trust-unknown-entry-key", "trust.syntax", "The same in an entry.", auditor(not_afer="2026-01-01T00:00:00Z"))
add("trust-version", "trust.syntax", "Another version of the format.", trust(version=2))
add("trust-bool-as-version", "trust.syntax", "Nor is it version 1.", trust(version="true"))
add("trust-no-version", "trust.syntax", "No version.", trust(version=None))
add("trust-bool-as-number", "trust.syntax", "true is no number of days.", trust(max_age_days="true"))
add("trust-negative", "trust.syntax", "Fewer than no signatures.", trust(require={"auditor": -1}))
add("trust-withheld-word", "trust.syntax", "A third answer to a question of two.", trust(withheld='"maybe"'))
add("trust-text-as-bool", "trust.syntax", "A word is no yes.", trust(require_timestamp='"true"'))
add("trust-fraction", "trust.syntax", "Half a signature.", trust(require={"auditor": 0.5}))
add(
    "trust-reason-word",
    "trust.syntax",
    "A reason that nobody knows.",
    auditor(revoked_at=NOON, revoked_reason='"lost"'),
)
add("trust-too-large", "trust.syntax", "More than 1 MiB.", appended("#" * (1 << 20)))
add("trust-no-utf8", "trust.syntax", "Not UTF-8.", lambda world: written(world, b"version = 1 # \xff"))
add("trust-nul", "trust.syntax", "A control character in a name.", auditor(name='"A\\u0000"'))
add("trust-pipe", "trust.not_found", "A pipe would never end.", lambda world: pipe(world.folder / "trust.toml"))
add("trust-key-pipe", "trust.key", "Nor would a key in one.", lambda world: pipe(world.folder / "auditor.pub"))
add("trust-both-keys", "trust.syntax", "Two keys in one entry.", auditor(public_key_pem='"x"'))
add("trust-no-name", "trust.syntax", "A key without a name.", auditor(name=None))
add("trust-no-key", "trust.syntax", "An entry without a key.", auditor(public_key=None))
add("trust-reason-alone", "trust.syntax", "Revoked, but when?", auditor(revoked_reason='"retired"'))
add("trust-time-alone", "trust.syntax", "Revoked, but why?", auditor(revoked_at="2026-01-01T00:00:00Z"))
add("trust-empty-require", "trust.no_requirement", "Nothing is required: anything would pass.", trust(require={}))
add("trust-zero-require", "trust.no_requirement", "Nor is zero of each.", trust(require={"auditor": 0, "provider": 0}))
add("trust-no-require", "trust.no_requirement", "Nor is silence.", trust(require=None))
add("trust-role", "trust.role", "A role that nobody plays.", auditor(role='"boss"'))
add("trust-required-role", "trust.role", "A requirement of such a role.", trust(require={"auditor": 1, "boss": 1}))
add(
    "trust-local-time",
    "trust.window",
    "A time without an offset is another elsewhere.",
    auditor(not_before="2026-01-01T00:00:00"),
)
add("trust-local-date", "trust.window", "A date is no time.", auditor(not_after="2027-01-01"))
add("trust-time-as-text", "trust.window", "A time in quotes.", auditor(not_after='"2027-01-01T00:00:00Z"'))
add(
    "trust-window",
    "trust.window",
    "A window that ends where it begins.",
    auditor(not_before="2026-01-01T00:00:00Z", not_after="2026-01-01T01:00:00+01:00"),
)
add("trust-key-gone", "trust.key", "A key file that is not there.", auditor(public_key='"gone.pub"'))
add(
    "trust-key-inline",
    "",
    "The key may stand in the file itself.",
    auditor(public_key=None, public_key_pem=f'"""{AUDITOR.public.to_pem().decode()}"""'),
)


def twice(**keys: Any) -> Any:
    second = AUDITOR_ENTRY | {"name": '"B. Auditor"'} | keys
    return trust(require={"auditor": 2}, keys=[AUDITOR_ENTRY, PROVIDER_ENTRY, second])


add("trust-duplicate-key", "trust.duplicate_key", "One key under two names would meet a threshold of two.", twice())
add("trust-duplicate-role", "trust.duplicate_key", "One key in two roles.", twice(role='"provider"'))
add(
    "trust-duplicate-encoding",
    "trust.duplicate_key",
    "One key in two encodings: the point compressed.",
    twice(
        public_key=None,
        public_key_pem='"""-----BEGIN PUBLIC KEY-----\n'
        "MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADYP7UuiVanTHJYet0xjVtaMBJuJI7\nYfps5mliLmDyn7Y=\n"
        '-----END PUBLIC KEY-----"""',
    ),
)


def key_file(pem: bytes) -> Any:
    return lambda world: (world.folder / "auditor.pub").write_bytes(pem)


def foreign(key: Any) -> bytes:
    return bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


add("trust-key-junk", "trust.key", "No PEM.", key_file(b"ward"))
add("trust-private-key", "trust.private_key", "A private key has no place here.", key_file(private_pem(AUDITOR, None)))


@case("trust-rsa", "trust.key_algorithm", "RSA is not loaded.")
def rsa_key(world: World) -> None:
    numbers = rsa.RSAPublicNumbers(65537, (1 << 2047) + 1).public_key()  # nobody factors it: it only has to load
    key_file(foreign(numbers))(world)


for curve in (ec.SECP256K1(), ec.SECP384R1(), ec.SECP521R1()):
    add(
        f"trust-{curve.name}",
        "trust.key_algorithm",
        "Another curve is not loaded.",
        key_file(foreign(ec.derive_private_key(7, curve).public_key())),
    )
add(
    "trust-ed448",
    "trust.key_algorithm",
    "Nor is Ed448.",
    key_file(foreign(ed448.Ed448PrivateKey.from_private_bytes(b"\7" * 57).public_key())),
)
add(
    "trust-dsa",
    "trust.key_algorithm",
    "Nor is DSA.",
    key_file(
        foreign(dsa.DSAPublicNumbers(4, dsa.DSAParameterNumbers((1 << 2047) + 1, (1 << 255) + 95, 2)).public_key())
    ),
)
add(
    "trust-x25519",
    "trust.key_algorithm",
    "Nor is a key that agrees and cannot sign.",
    key_file(foreign(x25519.X25519PrivateKey.from_private_bytes(b"\7" * 32).public_key())),
)
for name, point in {"identity": 1, "order-two": 2**255 - 20, "order-four": 0, "beyond-p": 2**255 - 18}.items():
    add(
        f"trust-weak-{name}",
        "trust.weak_key",
        "Anybody can sign under a point of small order, or under one in a second encoding.",
        key_file(foreign(Ed25519PublicKey.from_public_bytes(point.to_bytes(32, "little")))),
    )

add(
    "key-expired",
    "signature.threshold",
    "Expired before the report was finished.",
    auditor(not_after="2026-11-20T09:29:59Z"),
)
add("key-last-second", "", "The last second of the window counts.", auditor(not_after="2026-11-20T09:30:00Z"))
add("key-not-yet", "signature.threshold", "Not yet valid then.", auditor(not_before="2026-11-20T09:30:01Z"))
add("key-first-second", "", "The first second counts.", auditor(not_before="2026-11-20T10:30:00+01:00"))
add(
    "key-retired",
    "signature.threshold",
    "Retired before the report was finished.",
    auditor(revoked_at="2026-11-20T09:30:00Z", revoked_reason='"retired"'),
)
add(
    "key-retired-later",
    "",
    "Retired afterwards: earlier signatures count.",
    auditor(revoked_at="2026-11-20T09:30:01Z", revoked_reason='"retired"'),
)
add(
    "key-compromised",
    "signature.threshold",
    "Compromised afterwards: without a time-stamp, who says when it was signed?",
    auditor(revoked_at="2026-11-21T00:00:00Z", revoked_reason='"compromised"'),
)


def second(**keys: Any) -> Any:
    """The case of a trust file that lists a second auditor, who did not sign."""

    def tamper(world: World) -> None:
        (world.folder / "second.pub").write_bytes(fixed_key(3).public.to_pem())
        other = {"name": '"B. Auditor"', "role": '"auditor"', "public_key": '"second.pub"'}
        world.write_trust(**{"keys": [AUDITOR_ENTRY, PROVIDER_ENTRY, other]} | keys)

    return tamper


add("role-unused-key", "", "A listed key that did not sign is not missed.", second())
add("role-two-of-two", "signature.threshold", "Two auditors are required; one signed.", second(require={"auditor": 2}))
add("role-any-of-two", "", "One of two auditors is required.", second(require={"auditor": 1}))
add(
    "role-not-theirs",
    "signature.threshold",
    "The provider signed, and is no auditor.",
    second(require={"auditor": 2, "provider": 1}),
)
add("role-only-provider", "", "Who signed beside them does no harm.", trust(require={"provider": 1}))
add(
    "role-swapped",
    "signature.threshold",
    "By this trust file both keys are the auditors'.",
    trust(keys=[AUDITOR_ENTRY, PROVIDER_ENTRY | {"role": '"auditor"'}]),
)
add(
    "role-both-auditors",
    "",
    "Two keys in one role, both signed, both are required.",
    trust(keys=[AUDITOR_ENTRY, PROVIDER_ENTRY | {"role": '"auditor"'}], require={"auditor": 2}),
)


@case("role-one-stays", "", "One auditor's key was retired, the other's signature is enough.")
def one_stays(world: World) -> None:
    retired = AUDITOR_ENTRY | {"revoked_at": NOON, "revoked_reason": '"retired"'}
    world.write_trust(keys=[retired, PROVIDER_ENTRY | {"role": '"auditor"'}], require={"auditor": 1})


@case("role-both-needed", "signature.threshold", "The same where two are required.")
def both_needed(world: World) -> None:
    retired = AUDITOR_ENTRY | {"revoked_at": NOON, "revoked_reason": '"retired"'}
    world.write_trust(keys=[retired, PROVIDER_ENTRY | {"role": '"auditor"'}], require={"auditor": 2})
