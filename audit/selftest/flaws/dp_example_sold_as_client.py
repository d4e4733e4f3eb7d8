"""Protection of one record, sold to a client that holds many."""

from audit.selftest.declarations import claimable, declared, drawn_mechanism
from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "dp-example-sold-as-client",
    "The mechanism hides single examples, and the claim is made to clients",
    caught_by=("dp.accounting",),
)
def dp_example_sold_as_client(make: Workshop, *, planted: bool) -> System:
    """Clip, noise and sample examples or clients, and claim the epsilon for each client."""
    mechanism, federation = drawn_mechanism(make)
    epsilon = claimable(mechanism)
    used = mechanism.model_copy(update={"unit": "example" if planted else "client"})
    claims = {"epsilon": epsilon, "delta": mechanism.delta, "privacy_unit": "client"}
    return declared(make, used, federation, epsilon, claims)
