"""Sigstore bundles: what Sigstore's own verifier says of them, for both algorithms and with a time-stamp."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from reports.dsse import PAYLOAD_TYPE, Envelope, Signature, sign
from reports.export_sigstore import export_sigstore, sigstore_bundles
from reports.keys import PrivateKey
from reports.renderings import write_standard_renderings
from tests.reports.authority import ROOT, TSA
from tests.reports.conformance.world import AUDITOR, FINISHED, PROVIDER, STRANGER, sound_world
from tests.reports.outsiders import needs_node, sigstore_says

BODY = b'{"_type":"https://in-toto.io/Statement/v1"}'
BOTH = pytest.mark.parametrize("key", [AUDITOR, PROVIDER], ids=["ecdsa-p256", "ed25519"])


def bundle(key: PrivateKey, *, stamped: bool = False) -> dict[str, Any]:
    envelope = Envelope(PAYLOAD_TYPE, BODY).with_signature(PROVIDER).with_signature(AUDITOR)
    [signature] = envelope.signatures_of(key.public)
    if stamped:
        token = TSA.token(signature.sig, FINISHED + timedelta(hours=1))
        envelope = envelope.with_timestamp(signature, token)
        [signature] = envelope.signatures_of(key.public)
    return dict(json.loads(export_sigstore(envelope, signature)))


def judged(folder: Path, key: PrivateKey, *bundles: dict[str, Any] | Path, stamped: bool = False) -> list[str]:
    """What Sigstore's verifier says of each, which may have to be time-stamped."""
    (folder / "key.pub").write_bytes(key.public.to_pem())
    paths = [one if isinstance(one, Path) else folder / f"{number}.json" for number, one in enumerate(bundles)]
    for path, one in zip(paths, bundles, strict=True):
        if not isinstance(one, Path):
            path.write_text(json.dumps(one))
    chain = [folder / "tsa.der", folder / "root.der"] if stamped else []
    for path, certificate in zip(chain, (TSA.certificate, ROOT), strict=False):
        path.write_bytes(certificate.public_bytes(Encoding.DER))
    return sigstore_says(folder / "key.pub", *paths, chain=chain)


def flipped(text: str) -> str:
    data = bytearray(base64.b64decode(text))
    data[-1] ^= 1
    return base64.b64encode(data).decode()


TAMPERED: dict[str, Callable[[dict[str, Any]], object]] = {
    "payload": lambda made: made["dsseEnvelope"].update(payload=flipped(made["dsseEnvelope"]["payload"])),
    "payload type": lambda made: made["dsseEnvelope"].update(payloadType="application/json"),
    "signature": lambda made: made["dsseEnvelope"]["signatures"][0].update(
        sig=flipped(made["dsseEnvelope"]["signatures"][0]["sig"])
    ),
    "hint": lambda made: made["verificationMaterial"]["publicKey"].update(
        hint=flipped(made["verificationMaterial"]["publicKey"]["hint"])
    ),
    "media type": lambda made: made.update(mediaType="application/json"),
    "two signatures": lambda made: made["dsseEnvelope"].update(signatures=2 * made["dsseEnvelope"]["signatures"]),
}


@needs_node
@BOTH
def test_sigstore_verifies_each_signer_and_refuses_what_was_tampered_with(tmp_path: Path, key: PrivateKey) -> None:
    tampered = [bundle(key) for _ in TAMPERED]
    for made, tamper in zip(tampered, TAMPERED.values(), strict=True):
        tamper(made)
    first, *others = judged(tmp_path, key, bundle(key), *tampered)
    assert first == "verified"
    refused = dict(zip(TAMPERED, others, strict=True))
    assert "verified" not in refused.values(), refused
    assert refused["payload"].startswith("SIGNATURE_ERROR")
    assert refused["hint"].startswith("PUBLIC_KEY_ERROR")
    assert judged(tmp_path, STRANGER, bundle(key))[0].startswith("PUBLIC_KEY_ERROR")


@needs_node
def test_sigstore_reads_the_time_stamp_where_it_knows_the_authority(tmp_path: Path) -> None:
    """A second reader of what is stamped: the signature's bytes."""
    other = bundle(AUDITOR, stamped=True)
    [stamp] = other["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
    stamp["signedTimestamp"] = base64.b64encode(TSA.reply(b"another signature", FINISHED)).decode()
    made = (bundle(AUDITOR, stamped=True), other, bundle(AUDITOR))
    good, *bad = judged(tmp_path, AUDITOR, *made, stamped=True)
    assert good == "verified"
    assert all(told.startswith("TIMESTAMP_ERROR") for told in bad)


@needs_node
def test_sigstore_verifies_what_lies_in_a_bundle_beside_its_report(tmp_path: Path) -> None:
    world = sound_world(tmp_path / "world")
    write_standard_renderings(world.bundle)
    for key in (AUDITOR, PROVIDER):
        assert judged(tmp_path, key, world.bundle / "render" / f"{key.keyid[:16]}.sigstore.json") == ["verified"]


@BOTH
def test_a_bundle_names_one_key_by_its_material_and_no_transparency_log(key: PrivateKey) -> None:
    made = bundle(key)
    assert made["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    hint = base64.b64decode(made["verificationMaterial"]["publicKey"]["hint"])
    assert made["verificationMaterial"] == {"publicKey": {"hint": base64.b64encode(hint).decode()}, "tlogEntries": []}
    assert hint.hex() == key.keyid
    [signature] = made["dsseEnvelope"]["signatures"]
    assert base64.b64decode(signature["sig"]) == sign(BODY, key).sig
    assert base64.b64decode(made["dsseEnvelope"]["payload"]) == BODY


def test_there_is_one_file_a_signer() -> None:
    envelope = Envelope(PAYLOAD_TYPE, BODY, (sign(BODY, AUDITOR), sign(BODY, PROVIDER)))
    assert set(sigstore_bundles(envelope)) == {f"{key.keyid[:16]}.sigstore.json" for key in (AUDITOR, PROVIDER)}
    assert sigstore_bundles(Envelope(PAYLOAD_TYPE, BODY)) == {}


@given(st.lists(st.sampled_from(["", "../x", "a" * 64, "A" * 64, "a" * 63, "/" * 64, "a" * 65 + "\n"]) | st.text()))
def test_no_hint_becomes_a_name_but_a_digest(keyids: list[str]) -> None:
    envelope = Envelope(PAYLOAD_TYPE, BODY, tuple(Signature(keyid, b"sig") for keyid in keyids))
    assert set(sigstore_bundles(envelope)) == ({"a" * 16 + ".sigstore.json"} if "a" * 64 in keyids else set())


def test_a_signature_without_an_id_of_a_key_has_no_bundle() -> None:
    with pytest.raises(ValueError, match="no key id"):
        export_sigstore(Envelope(PAYLOAD_TYPE, BODY), Signature("auditor", b"sig"))
