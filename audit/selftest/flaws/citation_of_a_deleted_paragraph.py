"""Documentation that rests on a paragraph which the law no longer has."""

from audit.selftest.documents import write_document
from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "citation-of-a-deleted-paragraph",
    "The documentation rests on a paragraph of the law that was deleted",
    caught_by=("compliance.citations",),
)
def citation_of_a_deleted_paragraph(make: Workshop, *, planted: bool) -> System:
    """Cite Article 10(5) of the AI Act of 2024, or Article 4a(1), which took its place."""
    basis = "Article 10(5)" if planted else "Article 4a(1)"
    told = (
        f"Special categories of personal data are processed for bias detection on the basis of {basis} of the AI Act."
    )
    system = {"name": "citations", "version": "1", "law_version": "2026-07-27"}
    return make.finish({"system": system, "documents": write_document(make, told)})
