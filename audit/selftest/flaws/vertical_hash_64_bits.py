"""A code of 64 bits a record, sold as one-way: public records and their codes teach the way back."""

from audit.selftest.flaw import flaw
from audit.selftest.shared_outputs import code, write_embeddings
from audit.selftest.workshop import Workshop
from reports.model import System

BITS = 64


@flaw(
    "vertical-hash-64-bits",
    "A party of a vertical federation sends a code of 64 bits as if nobody could reverse it",
    caught_by=("attack.vertical",),
)
def vertical_hash_64_bits(make: Workshop, *, planted: bool) -> System:
    """Send 64 bits a record, each of a direction of its own, or one bit 64 times."""
    tables = write_embeddings(make, code(make.rng("code"), BITS, BITS if planted else 1))
    return make.finish({"system": {"name": "vertical-code", "version": "1"}, **tables})
