"""The same targets under libFuzzer (atheris): an input that reaches new code joins the corpus.

Only functions of our own packages, and of the target itself, are instrumented, after the target has imported what it
needs. Mutations stay the target's own, so that guidance chooses what to mutate and structure decides how.
"""

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

PACKAGES = ("reports", "secagg", "unlearning", "compliance", "audit", "__main__")
LONGEST = 100_000
"""Bytes of the largest input."""


def fuzz_guided(
    name: str,
    seeds: Sequence[bytes],
    step: Callable[[bytes], str],
    mutations: Sequence[Callable[[bytes, random.Random], bytes]],
    *,
    runs: int,
    seed: int,
) -> None:
    """Run a target `runs` times, guided by coverage; ends the process, with 77 at the first undocumented answer."""
    import atheris

    count, answers = 0, Counter[str]()
    for function in ours():
        atheris.instrument_func(function)

    def once(data: bytes) -> None:
        nonlocal count
        answers[step(bytes(data)).partition(":")[0]] += 1
        count += 1
        if count == runs:  # libFuzzer leaves by _exit, so that nothing could be told afterwards
            print(f"{name}: {count} runs, guided by coverage of {len(list(ours()))} functions")
            for code, number in answers.most_common():
                print(f"  {number:8}  {code}")
            sys.stdout.flush()

    def mutated(data: bytes, longest: int, chosen: int) -> bytes:
        rng = random.Random(chosen)
        return rng.choice(mutations)(bytes(data), rng)[:longest]

    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(seeds):
            (Path(folder) / str(number)).write_bytes(data)
        flags = (f"-runs={runs}", f"-seed={seed + 1}", f"-max_len={LONGEST}", "-len_control=0", "-verbosity=0")
        crash = f"-artifact_prefix={tempfile.gettempdir()}/fuzz-{name}-"
        atheris.Setup([name, *flags, crash, folder], once, custom_mutator=mutated)
        atheris.Fuzz()


def ours() -> Iterator[FunctionType]:
    """Yield the functions and methods of our packages that are loaded."""
    known: set[FunctionType] = set()
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in PACKAGES:
            classes = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == name]
            for holder in (module, *classes):
                for value in list(vars(holder).values()):
                    function = unwrapped(value)
                    if isinstance(function, FunctionType) and function.__module__ == name and function not in known:
                        known.add(function)
                        yield function


def unwrapped(value: Any) -> Any:
    """Return the function inside a property, a class method or a cache."""
    for inside in ("__func__", "fget", "__wrapped__"):
        value = getattr(value, inside, None) or value
    return value
