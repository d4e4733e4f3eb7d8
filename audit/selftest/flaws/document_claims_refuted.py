"""Documentation that promises more than was measured: a small epsilon, and codes that nobody could reverse."""

from audit.selftest.documents import private_training, write_document
from audit.selftest.flaw import flaw
from audit.selftest.shared_outputs import code, write_embeddings
from audit.selftest.workshop import Workshop
from reports.model import System

BITS = 64
NOISE = 4.0
"""Standard deviation of the noise, in clipping norms."""


@flaw(
    "document-claims-refuted",
    "The documentation claims an epsilon of 1 and codes that cannot be reversed, and neither is so",
    caught_by=("compliance.claims",),
)
def document_claims_refuted(make: Workshop, *, planted: bool) -> System:
    """Claim what measurements refute, or say what was measured.

    Codes of one bit that the documentation describes stand beside codes of 64 bits that it calls irreversible: were the
    twin's codes the same, its reader would have every reason for an alarm.
    """
    federation, known = private_training(NOISE)
    tables = write_embeddings(make, code(make.rng("code"), BITS, BITS if planted else 1))
    epsilon = 1.0 if planted else known.claimable
    codes = "The pseudonymous codes cannot be reversed." if planted else "A record is sent as one bit, many times over."
    training = f"Training satisfies differential privacy with epsilon = {epsilon} for each client."
    return make.finish(
        {
            "system": {"name": "claims", "version": "1", "risk_class": "high-risk"},
            "federation": federation,
            **tables,
            "documents": write_document(make, training, codes),
            "claims": {"epsilon": known.claimable, "delta": 1e-3, "privacy_unit": "client"},
        }
    )
