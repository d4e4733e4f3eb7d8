"""Evidence that was touched after the report was signed."""

from pathlib import Path

from audit.selftest.delivered import MODEL, delivering
from audit.selftest.flaw import VERIFY, flaw
from audit.selftest.workshop import Workshop
from reports.evidence import FOLDER
from reports.model import System


@flaw("evidence-tampered", "A figure in the evidence is not the one that was signed", caught_by=(VERIFY,))
def evidence_tampered(make: Workshop, *, planted: bool) -> System:
    """Seal an audit and change one digit of its evidence, or leave the bundle as it is."""
    make.sealed(MODEL, then=with_another_figure if planted else None)
    return make.finish(delivering(make))


def with_another_figure(bundle: Path) -> None:
    """Change the first digit of one file of evidence; its length stays."""
    file = min(file for file in (bundle / FOLDER).rglob("*") if file.is_file())
    data = bytearray(file.read_bytes())
    place = next(place for place, byte in enumerate(data) if chr(byte).isdigit())
    data[place] ^= 1  # 0 and 1, 2 and 3, .. change places
    file.write_bytes(data)
