"""A calibration meets the reader at work: is it the same reader, is it fresh, what does it allow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from compliance.admission import admission, measured_for
from compliance.assessment_records import AdmissionState
from compliance.calibration_file import Calibration, read_calibration
from compliance.catalogue import Control
from compliance.documents import Document
from compliance.fingerprint import panel_fingerprint, reader_fingerprint
from compliance.judge.scope import Calibrated, Reader
from reports.digests import file_sha256

if TYPE_CHECKING:
    from compliance.llm.panel import Panel

__all__ = ["Measured"]


@dataclass(frozen=True)
class Measured:
    """A calibration, or none, on the day of a reading."""

    calibration: Calibration | None
    """Of some reader."""
    sha256: str | None
    """Of its file."""
    on: date
    """The day."""

    @classmethod
    def read(cls, path: Path | None, on: date) -> "Measured":
        """Return the calibration of a file; none where no file is named.

        Raises:
            CalibrationError: the file cannot be used.
        """
        return cls(None, None, on) if path is None else cls(read_calibration(path), file_sha256(path), on)

    def state(self, panel: "Panel", readers: Sequence[Reader]) -> AdmissionState:
        """Return what the calibration says of the panel, by what its replies say of it."""
        try:
            reader = panel_fingerprint(
                [
                    reader_fingerprint(member.settings, one.reply_models, one.system_fingerprints)
                    for member, one in zip(panel.members, readers, strict=True)
                ]
            )
        except ValueError:  # asked in different ways: no calibration can be theirs
            reader = None
        return admission(self.calibration, reader, self.on)

    def calibrated(self, panel: "Panel", readers: Sequence[Reader]) -> Calibrated:
        """Return how wide a reading has to be taken, and for what the reader was measured."""
        if self.calibration is None or self.state(panel, readers) == "mismatch":
            return Calibrated()
        return Calibrated(self.calibration.score_set.radius, _measured_for)


def _measured_for(control: Control, document: Document) -> bool:
    return measured_for(control, document.text)
