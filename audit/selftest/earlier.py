"""Reports that went before: an audit of an earlier day, whose bundle lies beside the system that is audited now."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from audit.request import Request
from audit.run import run_audit
from audit.selftest.workshop import Asked, Workshop
from audit.system_folder import SystemFolder
from reports.model import Auditor, Effort

EARLIER = "earlier"
"""The folder of the earlier bundle."""
DAY = datetime(2026, 1, 5, tzinfo=UTC)
"""On which the earlier audit was made."""
THIS, OTHER = (sha256(name).hexdigest() for name in (b"the policy of this run", b"another policy"))
"""Digests of two policies."""


def audited_before(make: Workshop, described: Mapping[str, object], *, policy_sha256: str | None = None) -> None:
    """Audit a system of these tables on an earlier day, and put the bundle into the workshop's folder.

    Args:
        make: the workshop.
        described: tables of a system file that names no files.
        policy_sha256: digest of the policy that the earlier run committed to.
    """
    with tempfile.TemporaryDirectory(prefix="fedaudit-earlier-") as place:
        with SystemFolder(Path(place) / "system") as files:
            system = files.describe(described) / "system.toml"
        request = Request(
            system_file=system, bundle=make.files.folder(EARLIER), now=DAY, effort=Effort.SMOKE, seed=make.seed,
            only=("compliance.citations",), policy_sha256=policy_sha256,
        )  # fmt: skip
        run_audit(request)


def following(*, policy_sha256: str | None = None) -> Asked:
    """Return what asks for an audit that follows the earlier one, under a policy or under none."""

    def asked(request: Request) -> Request:
        options = replace(request.options, previous=request.system_file.parent / EARLIER)
        return replace(request, options=options, policy_sha256=policy_sha256)

    return asked


def answered_for(auditor: Auditor | None) -> Asked:
    """Return what asks for an audit in somebody's name, or in nobody's."""
    return lambda request: replace(request, auditor=auditor)
