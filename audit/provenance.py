"""How a report comes about: seed, selection, clock, and the versions of everything that had a hand in it."""

import importlib.metadata
import platform
import re

from audit.request import Request
from reports.model import Provenance
from reports.previous import read_previous
from reports.seed import derived_seed
from reports.version import VERSION


def root_seed(request: Request, system_sha256: str) -> int:
    """Return the seed of a run: the chosen one, else the one that nobody chose."""
    return (
        request.seed if request.seed is not None else derived_seed(system_sha256, request.policy_sha256, request.nonce)
    )


def provenance_of(request: Request, system_sha256: str) -> Provenance:
    """Return the provenance of what a request asks for.

    Args:
        request: what was asked.
        system_sha256: digest of the system file.

    Raises:
        BundleError: the previous report cannot be read.
        TrustError, VerificationError: a trust file was given, and it cannot be used, or that report is not authentic.
    """
    options = request.options
    previous = read_previous(options.previous, options.trust, request.now) if options.previous is not None else None
    return Provenance(
        tool_version=VERSION,
        root_seed=root_seed(request, system_sha256),
        seed_source="derived" if request.seed is None else "chosen",
        nonce=request.nonce,
        effort=request.effort,
        only=request.only,
        skip=request.skip,
        python=platform.python_version(),
        platform=f"{platform.system()}-{platform.machine()}".lower(),
        threads=1,
        packages=packages(),
        auditor=request.auditor,
        policy_sha256=request.policy_sha256,
        previous_report_sha256=None if previous is None else previous.sha256,
        started=request.now,
        finished=request.now,
    )


def packages() -> dict[str, str]:
    """Return the versions of the installed distributions that our own metadata names, by name."""
    found: dict[str, str] = {}
    for requirement in importlib.metadata.requires("fedaudit") or ():
        if name := re.match(r"[A-Za-z0-9._-]+", requirement):
            try:
                found[name.group().lower()] = importlib.metadata.version(name.group())
            except importlib.metadata.PackageNotFoundError:
                continue  # an extra that is not installed
    return dict(sorted(found.items()))
