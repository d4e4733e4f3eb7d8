"""A message under somebody's name that its key did not sign."""

from dataclasses import replace

from audit.selftest.flaw import flaw
from audit.selftest.secure import ROUND, Rounds, recorded_system
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "secagg-forged-signature",
    "An answer bears a signature that its client did not make",
    caught_by=("secagg.key-authenticity",),
)
def secagg_forged_signature(make: Workshop, *, planted: bool) -> System:
    """Record two rounds against a malicious server; in the second one answer's signature is wrong, or right."""
    return recorded_system(
        make,
        replace(
            Rounds(),
            config=replace(ROUND, server_trust="malicious"),
            plants=(None, "bad-signature" if planted else None),
        ),
    )
