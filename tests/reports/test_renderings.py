"""What lies in `render/`: written from a bundle, the same whenever it is written, and never more than may be shown."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reports.bundle import read_bundle
from reports.bundle_files import FolderFiles
from reports.bundle_writer import BundleWriter
from reports.dsse import sign
from reports.errors import BundleError
from reports.keys import generate
from reports.model import Confidentiality
from reports.renderings import bundle_renderings, bundle_view, evidence_lookup, renderings_of, write_standard_renderings
from tests.reports.sample_report import sample

SAMPLE = sample()
KEY = generate()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    with BundleWriter(tmp_path / "bundle") as writer:
        for piece in SAMPLE.report.evidence:
            writer.put_evidence(SAMPLE.contents[piece.sha256], piece.media_type, piece.confidentiality, piece.name)
        body = SAMPLE.statement.body
        return writer.finish(body, [sign(body, KEY)])


def evidence_file(bundle: Path, confidentiality: str) -> Path:
    piece = next(piece for piece in SAMPLE.report.evidence if piece.confidentiality == confidentiality)
    return bundle / "evidence" / piece.path


def test_four_files_are_written_and_name_the_signer(bundle: Path) -> None:
    write_standard_renderings(bundle)
    files = [f"{KEY.keyid[:16]}.sigstore.json", "report.html", "report.md", "verify.sh"]
    assert sorted(path.name for path in (bundle / "render").iterdir()) == files
    for name in ("report.html", "report.md"):
        text = (bundle / "render" / name).read_text(encoding="utf-8")
        assert KEY.keyid[:16] in text
        assert "verify before relying on it" in text


def test_writing_again_changes_nothing(bundle: Path) -> None:
    write_standard_renderings(bundle)
    first = {path.name: path.read_bytes() for path in (bundle / "render").iterdir()}
    write_standard_renderings(bundle)
    assert {path.name: path.read_bytes() for path in (bundle / "render").iterdir()} == first
    assert renderings_of(bundle)(SAMPLE.report) == first


def test_a_report_that_was_exchanged_meanwhile_is_refused(bundle: Path) -> None:
    other = SAMPLE.report.model_copy(update={"findings": ()})
    with pytest.raises(BundleError, match="changed while it was verified"):
        renderings_of(bundle)(other)


def test_withholding_a_file_shows_in_the_page(bundle: Path) -> None:
    assert b">withheld<" not in bundle_renderings(read_bundle(bundle))["report.html"]
    evidence_file(bundle, "restricted").unlink()
    assert bundle_renderings(read_bundle(bundle))["report.html"].count(b">withheld<") == 1


def test_the_standard_page_holds_no_restricted_image(bundle: Path) -> None:
    assert b"data:image/png" not in bundle_renderings(read_bundle(bundle))["report.html"]
    view = bundle_view(read_bundle(bundle), include=Confidentiality.RESTRICTED)
    image = evidence_file(bundle, "restricted").stem
    assert view.shelf.content(image) == SAMPLE.contents[image]  # positive control: the image is there


@pytest.mark.parametrize("trap", ["link", "folder", "longer", "shorter", "fifo"])
def test_a_file_that_is_not_what_was_listed_is_not_shown(bundle: Path, trap: str, tmp_path: Path) -> None:
    path = evidence_file(bundle, "public")
    content = path.read_bytes()
    lookup = evidence_lookup(FolderFiles(bundle), SAMPLE.report.evidence)
    assert lookup(path.stem) == content  # positive control
    path.unlink()
    make: dict[str, Callable[[], object]] = {
        "link": lambda: ((tmp_path / "elsewhere").write_bytes(content), path.symlink_to(tmp_path / "elsewhere")),
        "folder": path.mkdir,
        "longer": lambda: path.write_bytes(content + b"x"),
        "shorter": lambda: path.write_bytes(content[:-1]),
        "fifo": lambda: os.mkfifo(path),
    }
    make[trap]()
    assert lookup(path.stem) is None
    assert lookup("0" * 64) is None


def test_a_linked_render_folder_is_not_written_through(bundle: Path, tmp_path: Path) -> None:
    (bundle / "render").rmdir()
    (tmp_path / "outside").mkdir()
    (bundle / "render").symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match="symbolic link"):
        write_standard_renderings(bundle)
    assert not list((tmp_path / "outside").iterdir())


def test_the_view_is_made_without_a_template_engine_or_numpy() -> None:
    code = (
        "import sys, reports.view, reports.renderings; print({'jinja2', 'numpy', 'torch', 'rich'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_a_link_that_came_with_the_bundle_leads_no_rendering_out_of_it(bundle: Path, tmp_path: Path) -> None:
    precious = tmp_path / "authorized_keys"
    precious.write_text("mine")
    write_standard_renderings(bundle)
    sound = {path.name: path.read_bytes() for path in (bundle / "render").iterdir()}
    for name in sound:
        (bundle / "render" / name).unlink()
        for laid in (name, f".{name}.partial", f".{name}.{os.getpid()}"):
            (bundle / "render" / laid).symlink_to(precious)
    write_standard_renderings(bundle)
    assert precious.read_text() == "mine"
    assert {name: (bundle / "render" / name).read_bytes() for name in sound} == sound
    assert not any((bundle / "render" / name).is_symlink() for name in sound)
