"""Has somebody put a name to the system?"""

from collections.abc import Iterator

from reports.check import Context, check
from reports.model import Basis, Finding, Severity, Status, Strength, System


@check(
    "outside.provider-named",
    "The provider has a name",
    controls=("EU-AIA:annex-IV(1)(a)",),
    strength=Strength.DOCUMENT,
    severity=Severity.LOW,
)
def provider_named(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether a provider is declared; whether it exists, nobody can compute."""
    if system.provider:
        yield ctx.finding(Status.PASS, f"{system.provider} is named as the provider.", basis=Basis.DECLARED)
    else:
        yield ctx.finding(Status.FAIL, "Nobody is named as the provider.", basis=Basis.DECLARED)
