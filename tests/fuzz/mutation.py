"""A small fuzzer: mutate what is known, keep what answers in a new way, stop at the first thing nobody documented.

With `--guided`, coverage says what is kept (`guided.py`); without, answers do: an input that is accepted, or whose
refusal (code and wording, without its numbers and names) was not seen before, joins the corpus and is mutated further.
One seed gives one run, so every crash can be repeated.
"""

import argparse
import json
import random
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from guided import fuzz_guided

from reports.errors import FedauditError

Step = Callable[[bytes], str]
"""Feeds one input to the target and returns how it answered; raises if it answered as it must not."""
Mutate = Callable[[bytes, random.Random], bytes]

LITERALS: Sequence[Any] = (
    None, True, False, 0, -1, 1, 2**53, 2**53 - 1, -(2**63), 10**40, 0.1, -0.0, 1e308, 5e-324, "", " ", "a", "../x",
    "/etc/passwd", "a" * 301, "\u202e", "\u0000", "\ud800", "\x7f", "{{7*7}}", "</script>", "2026-02-30",
    "2026-11-20T12:00:00Z", "2026-11-20T12:00:00+02:00", "0" * 64, "F" * 64, [], {}, [[]], [None], {"": 0},
    {"a": {"a": 1}},
)  # fmt: skip
BYTES = (b"", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"{", b"}", b"[", b"]", b'"', b",", b":", b"NaN",
         b"\\u0000", b"-Infinity", b"1e999", b"9" * 50, b"null", b"=", b"\n", b"\r\n",
         b" ", b"#", b"'''", b"[" * 300)  # fmt: skip


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return `data` with one to four places flipped, cut, doubled, or replaced by bytes that parsers trip over."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(found) + 1)
        end = min(len(found), start + rng.choice((0, 1, 1, 2, 8, 64)))
        match rng.randrange(4):
            case 0 if start < len(found):
                found[start] ^= 1 << rng.randrange(8)
            case 1:
                del found[start:end]
            case 2:
                found[start:start] = found[start:end]
            case _:
                found[start:end] = rng.choice(BYTES)
    return bytes(found)


def mutate_value(value: Any, rng: random.Random) -> Any:
    """Return a JSON value with one node replaced, removed, renamed or doubled."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        weights = [1 + len(str(member)) for member in value.values()]  # where most is said, most can go wrong
        key = rng.choices(list(value), weights)[0]
        match rng.randrange(12):
            case 0:
                return {name: member for name, member in value.items() if name != key}
            case 1:
                return {name + "_" * (name == key): member for name, member in value.items()}
            case 2:
                return value | {str(rng.choice(LITERALS)): rng.choice(LITERALS)}
            case _:
                return value | {key: mutate_value(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = rng.randrange(len(value))
        match rng.randrange(8):
            case 0:
                return value[:place] + value[place + 1 :]
            case 1:
                return [*value, value[place]]
            case 2:
                return value[::-1]
            case _:
                return [*value[:place], mutate_value(value[place], rng), *value[place + 1 :]]
    return rng.choice(LITERALS)


def mutate_lines(data: bytes, rng: random.Random) -> bytes:
    """Return a TOML text with lines cut, doubled or exchanged, or values replaced."""
    lines = data.decode("utf-8", "replace").split("\n")
    for _ in range(rng.randint(1, 3)):
        place, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(6):
            case 0 if len(lines) > 1:
                del lines[place]
            case 1:
                lines.insert(other, lines[place])
            case 2:
                lines[place], lines[other] = lines[other], lines[place]
            case 3:
                lines[place] = lines[place].partition("=")[0] + "=" + lines[other].partition("=")[2]
            case _:
                literal = rng.choice(
                    (*map(_toml, LITERALS), "nan", "-inf", "1e999", "2026-01-01", "2026-01-01T00:00:00")
                )
                lines[place] = lines[place].partition("=")[0] + "= " + literal
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _toml(value: Any) -> str:
    return (
        "''" if value is None else json.dumps(value).replace(":", "=") if isinstance(value, dict) else json.dumps(value)
    )


def refusal(error: FedauditError, *, prefix: str = "", exit_code: int = 2) -> str:
    """Return how a documented error answers, without the names and numbers of this one input.

    Raises:
        ValueError: the error has another family of codes, or another exit code, than is documented.
    """
    if not error.code.startswith(prefix) or error.exit_code != exit_code or not error.message:
        raise ValueError(f"{error.code} (exit {error.exit_code}) is not documented here")
    return f"{error.code}: " + re.sub(r"""(['"]).*?\1|[0-9]+|/\S+""", "_", error.message)[:60]


def fuzz(name: str, seeds: Sequence[bytes], step: Step, mutations: Sequence[Mutate]) -> None:
    """Run the loop from the command line: `--runs N`, `--seed N`, `--guided`; ends at the first undocumented answer.

    Every seed must be answered with `accepted`: a target that refuses everything proves nothing.
    """
    parser = argparse.ArgumentParser(description=f"Fuzz: {name}.")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guided", action="store_true", help="guided by coverage, with atheris")
    asked = parser.parse_args()
    rng, answers, started = random.Random(asked.seed), Counter[str](), time.monotonic()
    sound, refused = list(seeds), list(seeds)
    for data in seeds:
        if (answer := step(data)) != "accepted":
            sys.exit(f"{name}: the sound seed is refused: {answer}")
    if asked.guided:
        fuzz_guided(name, seeds, step, mutations, runs=asked.runs, seed=asked.seed)
    for number in range(asked.runs):
        data = rng.choice(mutations)(rng.choice(sound if rng.random() < 0.7 else refused), rng)
        try:
            answer = step(data)
        except Exception:
            kept = Path(tempfile.gettempdir()) / f"fuzz-{name}-{asked.seed}-{number}.bin"
            kept.write_bytes(data)
            traceback.print_exc()
            sys.exit(f"{name}: run {number} (seed {asked.seed}) answered as documented nowhere; its input is {kept}")
        if answer == "accepted" and len(sound) < 1000:
            sound.append(data)  # what still passes is a step towards what should not
        elif not answers[answer] and len(data) < 100_000:
            refused.append(data)
        answers[answer] += 1
    rate = asked.runs / max(time.monotonic() - started, 1e-9)
    codes = Counter[str]()
    for answer, count in answers.items():
        codes[answer.partition(":")[0]] += count
    print(f"{name}: {asked.runs} runs, {rate:.0f} a second, {len(answers)} answers, corpus {len(sound) + len(refused)}")
    for code, count in codes.most_common():
        print(f"  {count:8}  {code}")
