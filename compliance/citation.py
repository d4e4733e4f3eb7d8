"""Citations of the law, one import for everybody: what they are, how they are read, whether they exist.

The nouns stand in `compliance.cited`, the grammar in `compliance.citation_grammar`, the numbering of the law's versions
in `compliance.numbering`. All pure: no file is opened here.
"""

from compliance.citation_grammar import find_citations, parse_citation
from compliance.cited import Citation, CitationStatus, Span, Verdict
from compliance.errors import CitationError
from compliance.numbering import Structure, check_citation, places, versions_of

__all__ = [
    "Citation",
    "CitationError",
    "CitationStatus",
    "Span",
    "Structure",
    "Verdict",
    "check_citation",
    "find_citations",
    "parse_citation",
    "places",
    "versions_of",
]
