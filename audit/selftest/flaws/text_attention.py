"""Gradients of a small language model in the clear: its first attention layers span the tokens of the text."""

from audit.selftest.flaw import flaw
from audit.selftest.workshop import Workshop
from reports.model import System

CLIENTS, PUBLIC = 60, 400
"""Clients with a sequence each, and public sequences."""
DEVIATION = 1.0
"""Of the twin's noise, after clipping to a norm of one."""


@flaw(
    "text-attention",
    "Clients send gradients of a language model in the clear",
    caught_by=("attack.text",),
    extra="llm",
)
def text_attention(make: Workshop, *, planted: bool) -> System:
    """Send gradients of one sequence each, as they are or clipped and noised."""
    from audit.selftest.texts import clear, noised, write_texts

    tables = write_texts(make, clients=CLIENTS, reference=PUBLIC, defend=clear if planted else noised(DEVIATION))
    return make.finish({"system": {"name": "text", "version": "1"}, **tables})
