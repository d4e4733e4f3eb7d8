"""The files in a bundle's `render/`: derived from the signed bytes, unsigned, replaceable, the same each time."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from reports.bundle import Bundle, read_bundle
from reports.errors import BundleError
from reports.evidence import FOLDER, RENDERINGS, may_be_withheld
from reports.model import Report
from reports.recipe import RECIPE, verify_script
from reports.regular import open_regular
from reports.statement import Statement

HTML, MARKDOWN = "report.html", "report.md"


def standard_renderings(
    statement: Statement, keyids: Sequence[str], lookup: Callable[[str], bytes | None]
) -> dict[str, bytes]:
    """Return what a bundle carries for people: name below `render/` to content.

    Args:
        statement: the report, its bytes and its subjects.
        keyids: of the signatures in the envelope, as hints.
        lookup: content of evidence up to `internal`; None for what may be withheld, so that withholding withholds.
    """
    from reports.render_html import render_html  # jinja2 is loaded where it is used
    from reports.render_markdown import render_markdown
    from reports.view import Signer, view_of

    view = view_of(statement, signers=tuple(Signer(keyid) for keyid in keyids), lookup=lookup)
    return {HTML: render_html(view).encode(), MARKDOWN: render_markdown(view).encode(), RECIPE: verify_script()}


def content_of(bundle: Bundle) -> Callable[[str], bytes | None]:
    """Return the lookup that reads evidence out of a bundle; None for what is absent or may be withheld."""
    known = {piece.sha256: piece for piece in bundle.report.evidence}

    def lookup(sha256: str) -> bytes | None:
        piece = known.get(sha256)
        if piece is None or may_be_withheld(piece):
            return None
        try:
            with open_regular(bundle.path / FOLDER / piece.path) as file:
                return file.read(piece.size + 1)
        except BundleError:  # not there, or a link: the rendering says what it could not show
            return None

    return lookup


def renderings_of(bundle: Path) -> Callable[[Report], Mapping[str, bytes]]:
    """Return the function with which `reports.verify` renders a bundle again (step 17)."""

    def render(_report: Report) -> Mapping[str, bytes]:
        return _again(read_bundle(bundle))

    return render


def write_standard_renderings(bundle: Path) -> None:
    """Render a bundle's files anew, where it has them: one at a time, each old or new but never half.

    Raises:
        BundleError: as `reports.bundle.read_bundle`.
        OSError: the folder cannot be written.
    """
    folder = bundle / RENDERINGS
    if not (folder / HTML).exists():
        return  # the run was asked to render nothing
    for name, content in _again(read_bundle(bundle)).items():
        partial = folder / f".{name}.{os.getpid()}"
        partial.write_bytes(content)
        partial.replace(folder / name)


def _again(bundle: Bundle) -> dict[str, bytes]:
    keyids = [signature.keyid for signature in bundle.envelope.signatures]
    return standard_renderings(bundle.statement, keyids, content_of(bundle))
