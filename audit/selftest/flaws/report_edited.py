"""A report that was edited after it was signed."""

from dataclasses import replace
from pathlib import Path

from audit.selftest.delivered import MODEL, delivering
from audit.selftest.flaw import VERIFY, flaw
from audit.selftest.workshop import Workshop
from reports.dsse import parse_envelope
from reports.evidence import ENVELOPE
from reports.model import System


@flaw("report-edited", "A sentence of the report is not the one that was signed", caught_by=(VERIFY,))
def report_edited(make: Workshop, *, planted: bool) -> System:
    """Seal an audit and rename the system in the report, or leave the bundle as it is."""
    make.sealed(MODEL, then=renamed if planted else None)
    return make.finish(delivering(make))


def renamed(bundle: Path) -> None:
    """Give the report's system another name, wherever it stands, and leave the signature as it was."""
    file = bundle / ENVELOPE
    envelope = parse_envelope(file.read_bytes())
    body = envelope.body.replace(b"digits-secagg", b"digits-signed")
    file.write_bytes(replace(envelope, body=body).to_bytes())
