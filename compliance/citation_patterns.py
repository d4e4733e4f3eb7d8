"""The words and signs that citations of the law are written with, as patterns; every repetition in them is bounded.

So reading takes time in proportion to the text, whatever stands in it.
"""

import re

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_AI_ACT = (
    r"(?:the\s{1,3})?(?:eu[\s-]?)?(?:ai[\s-]act|aia|artificial[\s-]intelligence[\s-]act)"
    r"|(?:the\s{1,3})?regulation\s\(eu\)\s(?:no\s)?2024/1689"
)
_GDPR = (
    r"(?:the\s{1,3})?(?:eu[\s-])?(?:gdpr|general[\s-]data[\s-]protection[\s-]regulation|dsgvo|rgpd)"
    r"|(?:the\s{1,3})?regulation\s\(eu\)\s(?:no\s)?2016/679"
)
_INSTRUMENT = rf"(?<![\w-])(?:(?P<ai_act>{_AI_ACT})|(?P<gdpr>{_GDPR}))(?![\w])"
_GAP = r"[\s,]{0,6}"
_VALUE = r"(?:[0-9]{1,3}[a-z]{0,2}|[ivx]{1,5}|[a-z]{1,2})"
_AND = r"\s{0,3}(?:,\s{0,3}(?:and\s|or\s)?|and\s|or\s|&)\s{0,3}"
_TO = r"(?:[-‐‑–—]|to)"

BEFORE = re.compile(rf"{_INSTRUMENT}(?P<joint>[\s:,-]{{0,4}})", re.IGNORECASE)
"""An instrument that is named first."""
AFTER = re.compile(
    rf"{_GAP}(?:\(|of\s|in\s|under\s)?\s{{0,2}}{_INSTRUMENT}(?![\s:-]{{0,3}}(?:art|annex|[0-9]{{1,3}}[a-z]?\(|:[0-9]))\)?",
    re.IGNORECASE,
)
"""An instrument that is named last, and is not the first word of the next citation."""
ARTICLE = re.compile(
    r"(?:(?P<word>(?<![\w-])art(?:icle)?(?P<plural>s)?\.?)[\s-]{0,4}|(?<![\w.]))(?P<number>[0-9]{1,4}[a-z]?)(?![\w/])",
    re.IGNORECASE,
)
ARTICLES_TO = re.compile(rf"\s{{0,2}}{_TO}\s{{0,2}}(?P<value>[0-9]{{1,3}})(?![\w(])", re.IGNORECASE)
"""The end of a range of articles."""
ANOTHER_ARTICLE = re.compile(rf"{_AND}(?=[0-9]{{1,3}}[a-z]?(?![\w/%]))", re.IGNORECASE)
"""Before the next number of a list of articles."""
ANNEX = re.compile(r"(?<![\w-])annex(?P<plural>es)?[\s-]{1,4}(?P<roman>[ivx]{1,6})(?!\w)", re.IGNORECASE)
ANOTHER_ANNEX = re.compile(rf"{_AND}(?P<roman>[IVX]{{1,6}})(?!\w)")
"""The next number of a list of annexes, in capitals: `i` is a word in other places."""
SECTION = re.compile(rf"{_GAP}section\s{{1,3}}(?P<value>[a-z]|[0-9])(?!\w)[.,]?", re.IGNORECASE)
WORDED = re.compile(
    rf"{_GAP}(?:paragraphs?|paras?\b\.?|§|points?|pt\.|letters?|lit\.|items?)\s{{0,3}}"
    rf"(?P<open>\(\s?)?(?P<value>{_VALUE})(?!\w)(?(open)\s?\))",
    re.IGNORECASE,
)
"""A paragraph or point with its word."""
PARENTHESISED = re.compile(rf"\s{{0,3}}\(\s?(?!eu\b)(?P<value>{_VALUE})\s?\)", re.IGNORECASE)
DOTTED = re.compile(r"\.(?P<value>[0-9]{1,2}|[a-z])(?!\w)", re.IGNORECASE)
BARE = re.compile(r"[\s,]{1,4}(?P<value>[0-9]{1,2}|[abc](?=[\s.,(]{0,2}[0-9]))(?!\w)", re.IGNORECASE)
"""The number behind an annex, as in `Annex IV 2(g)`."""
PARTS_TO = re.compile(rf"\s{{0,2}}{_TO}\s{{0,2}}\(\s?(?P<value>{_VALUE})\s?\)", re.IGNORECASE)
"""The end of a range of paragraphs or points."""
ANOTHER_PART = re.compile(rf"{_AND}\(\s?(?P<value>{_VALUE})\s?\)", re.IGNORECASE)
"""The next of a list of paragraphs or points."""
SUBPARAGRAPH = re.compile(
    rf"{_GAP}(?:(?P<word>{'|'.join(ORDINALS)})\s{{1,3}}sub-?paragraph"
    rf"|(?P<ordinal>[0-9]{{1,2}})(?:st|nd|rd|th)\s{{1,3}}sub-?paragraph"
    rf"|sub-?paragraph\s{{1,3}}(?P<number>[0-9]{{1,2}}))(?!\w)",
    re.IGNORECASE,
)
ASPECT = re.compile(r"#(?P<value>[a-z][a-z0-9-]*)", re.IGNORECASE)
FOREIGN = re.compile(
    r"[\s,]{0,6}(?:of|to|in|under)?\s{0,3}(?!the\s{1,3}(?:Regulation|Act)(?!\s{1,3}(?:\(|No\b|on\b)))"
    r"(?:the\s{1,3})?(?:[A-Z][\w-]{0,30}\s{1,3}){0,3}"
    r"(?:Directive|Regulation|Charter|Treaty|Treaties|TFEU|TEU|ECHR|Convention|Decision|Constitution|Code|Act|Law|LED"
    r"|DSA|DMA|DGA|MDR|NIS2?|BDSG|GG)(?![\w-])"
)
"""Another law that is named last; a bare "the Regulation" or "the Act" is ours."""
START = re.compile(
    rf"{_INSTRUMENT}|(?<![\w-])art(?:icle)?s?\.?[\s-]{{0,4}}[0-9]|(?<![\w-])annex(?:es)?[\s-]{{1,4}}[ivx]",
    re.IGNORECASE,
)
"""Where a citation can begin in running text."""
