"""Which checks on a language model a flaw spares: one system is asked all of them, and the others what is theirs.

Each of these tests takes its seconds, and some a planted suppression and lessons before that; `adapter-that-only-hides`
is put to all.
"""

from audit.selftest.flaw import DEAR

NAMES = (
    "forget", "retain", "utility", "refusal", "paraphrase", "jailbreak", "memorisation", "rank", "membership",
    "over-forgetting", "quantisation", "relearning", "scope", "reversal", "depth", "indistinguishable", "verdict",
)  # fmt: skip
"""Last words of the checks that ask a model before and a model after."""


def spared_but(*asked: str) -> tuple[str, ...]:
    """Return what a flaw spares to which, of the checks on a language model, only these are put."""
    return (*DEAR, *(f"unlearning.llm.{name}" for name in NAMES if name not in asked))
