"""What an assessment does not show is said, each limitation where it holds and nowhere else."""

from collections.abc import Sequence
from typing import Any

import pytest

from compliance.assessment import Assessed
from compliance.assessment_records import DocumentRecord
from compliance.limitations import STAND_IN_LABEL, limitations_of

DOCUMENT = DocumentRecord(
    path="td.md", sha256="0" * 64, text_sha256="0" * 64, media_type="text/markdown", characters=9,
    classification="internal", sections=1,
)  # fmt: skip
BEST: dict[str, Any] = {
    "state": "admitted",
    "documents": (DOCUMENT,),
    "assessments": (Assessed(control="EU-AIA:9(1)", document="td.md", status="answered"),),
    "models": ("m",),
    "planted": True,
    "recorded": True,
    "local": False,
}
"""A reading of which only what holds of every reading is to be said."""


def document(**given: object) -> tuple[DocumentRecord, ...]:
    return (DOCUMENT, DOCUMENT.model_copy(update={"path": "b.md", **given}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"models": ("m", "scripted-stand-in")}, STAND_IN_LABEL),
        ({"state": None}, "No language model was named"),
        ({"state": "not_admitted"}, "does not meet the calibration bar"),
        ({"state": "expired"}, "has expired"),
        ({"state": "mismatch"}, "that of another reader"),
        ({"state": "uncalibrated"}, "never measured against experts"),
        ({"planted": False}, "no planted excerpt"),
        ({"recorded": False}, "were not recorded"),
        ({"local": True}, "whether it passes documents on"),
        ({"assessments": (BEST["assessments"][0].model_copy(update={"flags": ("uncalibrated",)}),)}, "Arts. 9, 10, 12"),
        ({"documents": document(uncovered_characters=7)}, "7 characters of the documents were not put"),
        ({"documents": document(not_read=3)}, "3 pieces of the documents"),
        ({"documents": document(media_type="application/pdf")}, "Invisible text of a PDF"),
        ({"dropped": ("seed",)}, "does not know seed"),
    ],
)
def test_each_limitation_is_told_where_it_holds_and_nowhere_else(change: dict[str, Any], words: str) -> None:
    assert not [one for one in limitations_of(**BEST) if words in one]
    assert len([one for one in limitations_of(**{**BEST, **change}) if words in one]) == 1


def test_beside_every_reading_stands_what_its_experts_judged_by() -> None:
    told = " ".join(limitations_of(**BEST))
    for words in ("text of 2024", "synthetic", "no federated system", "alpha 0.145", "may go unnoticed"):
        assert words in told
    assert "alpha" not in " ".join(limitations_of(**{**BEST, "state": None}))


@pytest.mark.parametrize("dropped", [(), ("seed",), ("seed", "temperature")])
def test_a_parameter_that_was_not_sent_is_named(dropped: Sequence[str]) -> None:
    told = limitations_of("admitted", (), (), ["m"], planted=True, recorded=True, local=False, dropped=dropped)
    without = [sentence for sentence in told if "was asked without" in sentence]
    assert len(without) == bool(dropped)
    assert all(name in sentence for name in dropped for sentence in without)
