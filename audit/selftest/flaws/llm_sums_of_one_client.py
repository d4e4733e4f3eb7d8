"""Sums in the place of prompts, of so few records that the sum is as good as the prompts."""

from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System


@flaw(
    "llm-sums-of-one-client",
    "The server sees each client's sums by themselves, and whose records are in them can be told",
    caught_by=("unlearning.llm.statistics",),
    extra="llm",
)
def llm_sums_of_one_client(make: Workshop, *, planted: bool) -> System:
    """Declare the sums of a client and of a thousand others, seen file by file or only in one sum."""
    from audit.selftest.language import deliver, records, sums_of_clients, tables, untrained

    world, model = untrained(make)
    kept, one, crowd = sums_of_clients(world, model)
    updates: list[dict[str, object]] = []
    for name, sums in (("client", one), ("others", crowd)):
        sums.save(make.files.place("sums") / f"{name}.safetensors", fraction_bits=24)
        updates.append({"path": f"sums/{name}.safetensors", "kind": "statistics"})
    make.files.updates.append({**updates[0], "truth": records(make, "kept", kept)})
    make.files.updates.append(updates[1])
    told = {"id": "r1", "kind": "llm", "method": "lunar", "before": deliver(make, "before", model)}
    federation = {"clients": 1001, "visibility": "update" if planted else "aggregate"}
    return make.finish(tables(told, federation=federation))
