"""What lies in a bundle's `render/`: the report for people, the recipe that checks it without us, Sigstore bundles.

Renderings are derived and unsigned; whoever holds the bundle can write them again and compare.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from reports.bundle import Bundle, read_bundle, require_folder
from reports.bundle_files import BundleFiles
from reports.dsse import PAYLOAD_TYPE, Envelope, Signature
from reports.durable import write_whole
from reports.errors import BundleError
from reports.evidence import RENDERINGS, read_evidence
from reports.evidence import withheld as withheld_of
from reports.export_sigstore import sigstore_bundles
from reports.model import Confidentiality, Evidence, Report
from reports.recipe import RECIPE, verify_script
from reports.statement import Statement
from reports.verdict import Verdict
from reports.view import View, view_of
from reports.view_signature import signer_of

HTML, MARKDOWN = "report.html", "report.md"


def standard_renderings(
    statement: Statement,
    signatures: Sequence[Signature],
    lookup: Callable[[str], bytes | None],
    *,
    withheld: Collection[str] = (),
) -> Mapping[str, bytes]:
    """Return the files of `render/` by name; content of evidence up to internal is embedded.

    Args:
        statement: the report.
        signatures: over the report, in the order of the envelope; the keys are named by their hints.
        lookup: content of evidence by SHA-256.
        withheld: digests of evidence whose files are absent.
    """
    from reports.render_html import render_html  # jinja2 costs verifying and judging nothing
    from reports.render_markdown import render_markdown

    signers = [signer_of(signature) for signature in signatures]
    view = view_of(statement, signers=signers, lookup=lookup, withheld=withheld)
    pages = {HTML: render_html(view).encode(), MARKDOWN: render_markdown(view).encode()}
    bundles = sigstore_bundles(Envelope(PAYLOAD_TYPE, statement.body, tuple(signatures)))
    return {**pages, RECIPE: verify_script(), **bundles}


def bundle_view(
    bundle: Bundle, *, include: Confidentiality = Confidentiality.INTERNAL, verdict: Verdict | None = None
) -> View:
    """Return the view of a bundle on disk; nothing about it is verified."""
    report = bundle.report
    return view_of(
        bundle.statement,
        signers=[signer_of(signature) for signature in bundle.envelope.signatures],
        lookup=evidence_lookup(bundle.files, report.evidence),
        include=include,
        withheld={piece.sha256 for piece in withheld_of(bundle.files, report.evidence)},
        verdict=verdict,
    )


def evidence_lookup(files: BundleFiles, evidence: Sequence[Evidence]) -> Callable[[str], bytes | None]:
    """Return the function that reads the content of a listed piece of evidence, as `reports.evidence.read_evidence`."""
    pieces = {piece.sha256: piece for piece in evidence}

    def content(sha256: str) -> bytes | None:
        piece = pieces.get(sha256)
        return None if piece is None else read_evidence(files, piece)

    return content


def bundle_renderings(bundle: Bundle) -> Mapping[str, bytes]:
    """Return the files of `render/` as they follow from what is in a bundle now."""
    report = bundle.report
    return standard_renderings(
        bundle.statement,
        bundle.envelope.signatures,
        evidence_lookup(bundle.files, report.evidence),
        withheld={piece.sha256 for piece in withheld_of(bundle.files, report.evidence)},
    )


def renderings_of(folder: Path) -> Callable[[Report], Mapping[str, bytes]]:
    """Return what renders the report of a bundle again, for the last step of its verification.

    The function raises BundleError where the bundle cannot be read, or no longer holds the report it is given.
    """

    def render(report: Report) -> Mapping[str, bytes]:
        bundle = read_bundle(folder)
        if bundle.report != report:
            raise BundleError("render.mismatch", f"{folder} changed while it was verified")
        try:
            return bundle_renderings(bundle)
        except OSError as error:
            raise BundleError("bundle.unreadable", f"{folder} cannot be read: {error.strerror}") from error

    return render


def write_standard_renderings(folder: Path) -> None:
    """Write `render/` of a bundle anew, each file in one step, over what is there.

    Raises:
        BundleError: the bundle cannot be read, is a zip (`bundle.zip`), or `render/` is a link.
        OSError: it cannot be written.
    """
    target = folder / RENDERINGS
    if target.is_symlink():
        raise BundleError("render.symlink", f"{target} is a symbolic link", "Remove it.")
    bundle = read_bundle(folder)
    require_folder(bundle)
    renderings = bundle_renderings(bundle)
    target.mkdir(exist_ok=True)
    for name, data in renderings.items():
        write_whole(target / name, data)  # through no link: whoever sent the bundle may have laid some
