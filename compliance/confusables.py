"""Sixty Greek and Cyrillic letters that look like Latin ones.

Source: Unicode Technical Standard 39, data file confusables.txt, version 17.0.0 of 2025-07-22; a letter and the Latin
letter that is given here have one prototype there. Capital iota and its like stand for I, which shares its prototype
with the small l.
"""

_GREEK = "Α A Β B Ε E Ζ Z Η H Ι I Κ K Μ M Ν N Ο O Ρ P Τ T Υ Y Χ X Ϝ F Ϲ C α a γ y ι i ν v ο o ρ p σ o υ u ϲ c"
_CYRILLIC = (
    "Ѕ S І I Ј J А A В B Е E К K М M Н H О O Р P С C Т T У Y Х X Ү Y Ԍ G Ԝ W "
    "а a е e о o р p с c у y х x ѕ s і i ј j ү y һ h Ӏ l ӏ l ԁ d ԛ q ԝ w"
)
_PAIRS = f"{_GREEK} {_CYRILLIC}".split()
CONFUSABLES: dict[str, str] = dict(zip(_PAIRS[::2], _PAIRS[1::2], strict=True))
"""Letter to the Latin letter that it looks like."""
