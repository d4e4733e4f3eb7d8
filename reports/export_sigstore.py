"""One signature of a report as a Sigstore bundle, version 0.3 (sigstore/protobuf-specs: sigstore_bundle.proto).

The format allows one signature (sigstore/sigstore-go issue 225), so there is a file for each signer. It names the key
by the digest of its material and holds no entry of a transparency log: a verifier needs the public key itself.
"""

import base64
import re
from collections.abc import Mapping

from reports.canonical import canonical_json
from reports.dsse import Envelope, Signature
from reports.timestamp import granted

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_KEYID = re.compile(r"[0-9a-f]{64}")


def export_sigstore(envelope: Envelope, signature: Signature) -> bytes:
    """Return the bundle that holds `signature` over the body of `envelope`, RFC 8785 bytes.

    Args:
        envelope: what was signed; its other signatures are left out.
        signature: by a key whose id it bears. A time-stamp goes along: both formats stamp the signature's bytes.

    Raises:
        ValueError: the signature bears no id of a key (SHA-256 of its material, 64 hexadecimal digits).
    """
    if not _KEYID.fullmatch(signature.keyid):
        raise ValueError(f"{signature.keyid[:80]!r} is no key id")
    material: dict[str, object] = {
        "publicKey": {"hint": _text(bytes.fromhex(signature.keyid))},
        "tlogEntries": [],
    }
    if signature.timestamp is not None:
        stamps = [{"signedTimestamp": _text(granted(signature.timestamp))}]
        material["timestampVerificationData"] = {"rfc3161Timestamps": stamps}
    return canonical_json(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": material,
            "dsseEnvelope": {
                "payload": _text(envelope.body),
                "payloadType": envelope.payload_type,
                "signatures": [{"sig": _text(signature.sig), "keyid": signature.keyid}],
            },
        }
    )


def sigstore_bundles(envelope: Envelope) -> Mapping[str, bytes]:
    """Return a bundle for each signer, by its file's name; a signature without an id of a key gets none.

    Of several that claim one id the first counts: ids are hints, and the files are derived and unsigned.
    """
    named: dict[str, bytes] = {}
    for signature in envelope.signatures:
        name = f"{signature.keyid[:16]}.sigstore.json"
        if _KEYID.fullmatch(signature.keyid) and name not in named:
            named[name] = export_sigstore(envelope, signature)
    return named


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
