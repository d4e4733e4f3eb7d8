"""The report as OSCAL 1.2.1 assessment results (NIST, Open Security Controls Assessment Language), and our ids there.

What writes them, `reports.oscal_results`, is loaded when it is called: a token alone costs nothing else.
"""

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.model import Report
    from reports.verdict import Verdict

_SPELLED = ((":", "-"), ("-(", "-"), ("(", "."), (")", ""), ("#", "-"))
_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def oscal_token(control_id: str) -> str:
    """Return the id of a control as an OSCAL token: `EU-AIA:15(5)#confidentiality` is `eu-aia-15.5-confidentiality`."""
    token = control_id.lower()
    for written, spelled in _SPELLED:
        token = token.replace(written, spelled)
    return token


def safe_token(control_id: str) -> str:
    """Return `oscal_token`, or, of an id that no catalogue of ours would hold, a token of its digest."""
    token = oscal_token(control_id)
    return token if _TOKEN.fullmatch(token) else f"control-{hashlib.sha256(control_id.encode()).hexdigest()[:16]}"


def export_oscal(report: "Report", verdict: "Verdict | None" = None, *, report_sha256: str | None = None) -> bytes:
    """Return a report as OSCAL assessment results in JSON; equal reports give equal bytes.

    Args:
        report: what was found.
        verdict: of a policy; noted, and waivers beside the findings that they excuse.
        report_sha256: id of the report; else that of the verdict, else that of the statement a run would make of it.
    """
    from reports.oscal_results import assessment_results

    return assessment_results(report, verdict, report_sha256)
