"""A bundle with salted evidence: verified by whoever, shown without the salt, withheld with it."""

import base64
import hashlib
import os
import secrets
import shutil
import subprocess
from pathlib import Path

import pytest

from reports.bundle import Bundle, read_bundle
from reports.bundle_writer import BundleWriter
from reports.canonical import canonical, canonical_json
from reports.context import PLOT_MEDIA_TYPE
from reports.dsse import sign
from reports.evidence import evidence_root, read_evidence
from reports.model import Confidentiality, Status, evidence_path
from reports.plot import ImageRow, ImagesPlot
from reports.png import PNG_MEDIA_TYPE
from reports.recipe import verify_script
from reports.render_html import render_html
from reports.renderings import bundle_renderings, bundle_view
from reports.salting import SALT_BYTES
from reports.statement import make_statement
from tests.reports.conformance.world import AUDITOR
from tests.reports.sample_plots import digit
from tests.reports.sample_report import finding, sample

PICTURE = digit(4)


def bundle_with(folder: Path, *, salted: bool) -> Bundle:
    """A signed bundle with a restricted picture, and an internal plot that shows it."""
    sound = sample().statement
    salts: dict[str, bytes] = {}
    salt = (lambda content: salts.setdefault(content, secrets.token_bytes(SALT_BYTES))) if salted else None
    with BundleWriter(folder, salt=salt) as writer:
        piece = writer.put_evidence(PICTURE, PNG_MEDIA_TYPE, Confidentiality.RESTRICTED, "a digit")
        plot = ImagesPlot(title="Read back", rows=(ImageRow(label="client 1", true=piece.sha256, score=1.0),))
        drawn = writer.put_evidence(canonical(plot), PLOT_MEDIA_TYPE, Confidentiality.INTERNAL, "images")
        cited = finding(
            "attack.linear", "No record leaks", Status.FAIL, "Read back.", evidence=(drawn.sha256, piece.sha256)
        )
        update = {"findings": (cited,), "evidence": writer.evidence, "evidence_root": evidence_root(writer.evidence)}
        body = make_statement(sound.report.model_copy(update=update), sound.subjects).body
        return read_bundle(writer.finish(body, [sign(body, AUDITOR)]))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return bundle_with(tmp_path / "bundle", salted=True)


def picture_file(bundle: Bundle) -> Path:
    [piece] = [one for one in bundle.report.evidence if one.confidentiality is Confidentiality.RESTRICTED]
    return bundle.path / "evidence" / piece.path


def test_a_picture_is_shown_without_its_salt_and_only_when_said(bundle: Bundle) -> None:
    file, embedded = picture_file(bundle), base64.b64encode(PICTURE)
    assert file.read_bytes()[SALT_BYTES:] == PICTURE
    assert embedded not in bundle_renderings(bundle)["report.html"]
    assert embedded in render_html(bundle_view(bundle, include=Confidentiality.RESTRICTED)).encode()
    file.unlink()
    assert embedded not in render_html(bundle_view(bundle, include=Confidentiality.RESTRICTED)).encode()


def test_only_what_may_be_withheld_is_salted_and_the_leaf_holds_the_digest_of_the_file(bundle: Bundle) -> None:
    assert {one.salted for one in bundle.report.evidence if one.confidentiality is Confidentiality.INTERNAL} == {False}
    [piece] = [one for one in bundle.report.evidence if one.salted]
    file = picture_file(bundle)
    assert file.name == f"{piece.sha256}.png.salted"
    assert (piece.sha256, piece.size) == (hashlib.sha256(file.read_bytes()).hexdigest(), len(PICTURE) + SALT_BYTES)
    assert read_evidence(bundle.files, piece) == PICTURE
    leaves = [
        canonical_json([p.sha256, p.size, p.media_type, p.confidentiality, p.name]) for p in bundle.report.evidence
    ]
    hashed = [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]  # RFC 6962 section 2.1, two leaves, by hand
    assert hashlib.sha256(b"\1" + b"".join(hashed)).hexdigest() == bundle.report.evidence_root


@pytest.mark.parametrize("salted", [True, False])
def test_who_holds_everything_but_the_file_confirms_a_guess_only_where_it_is_bare(tmp_path: Path, salted: bool) -> None:
    bundle = bundle_with(tmp_path / "bundle", salted=salted)
    picture_file(bundle).unlink()
    left = b"".join(path.read_bytes() for path in bundle.path.rglob("*") if path.is_file()) + bundle.statement.body
    guesses = [digit(figure) for figure in range(10)]
    confirmed = [figure for figure, guess in enumerate(guesses) if hashlib.sha256(guess).hexdigest().encode() in left]
    assert confirmed == ([] if salted else [4])


@pytest.mark.skipif(not all(map(shutil.which, ("openssl", "jq", "sh"))), reason="needs sh, openssl and jq")
def test_the_third_party_s_recipe_checks_a_salted_file_as_any_other(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "verify.sh").write_bytes(verify_script())
    (tmp_path / "auditor.pub").write_bytes(AUDITOR.public.to_pem())
    command = ["sh", str(tmp_path / "verify.sh"), str(bundle.path), str(tmp_path / "auditor.pub")]

    def recipe() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})

    assert recipe().returncode == 0
    file = picture_file(bundle)
    whole = file.read_bytes()
    file.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])  # one bit of the salt
    assert recipe().returncode == 4
    file.unlink()
    done = recipe()
    assert (done.returncode, "withheld: " in done.stdout) == (0, True)


def test_a_file_that_was_exchanged_is_shown_as_little_as_one_that_is_absent(bundle: Bundle) -> None:
    [drawn] = [one for one in bundle.report.evidence if one.confidentiality is Confidentiality.INTERNAL]
    place = bundle.path / "evidence" / drawn.path
    genuine = place.read_bytes()
    assert read_evidence(bundle.files, drawn) == genuine
    assert "Read back" in render_html(bundle_view(bundle))
    place.write_bytes(genuine.replace(b"Read back", b"Forged it"))  # of the very size that was signed
    assert read_evidence(bundle.files, drawn) is None
    assert "Forged it" not in render_html(bundle_view(bundle))


def test_a_piece_smaller_than_its_salt_is_not_shown_and_breaks_nothing(bundle: Bundle) -> None:
    piece = next(one for one in bundle.report.evidence if one.salted)
    short = b"x" * (SALT_BYTES - 1)
    sha256 = hashlib.sha256(short).hexdigest()
    claimed = piece.model_copy(update={"sha256": sha256, "size": len(short), "path": evidence_path(sha256, ".salted")})
    (bundle.path / "evidence" / claimed.path).parent.mkdir(exist_ok=True)
    (bundle.path / "evidence" / claimed.path).write_bytes(short)
    assert read_evidence(bundle.files, piece) is not None
    assert read_evidence(bundle.files, claimed) is None
