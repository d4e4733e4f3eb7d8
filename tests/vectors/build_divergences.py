"""Build unlearning/divergences.json: f-divergences and their logit gradients from the definitions, 50 digits or more.

    python tests/vectors/build_divergences.py          writes the file

Nothing here is shared with the code under test: probabilities are sums of exponentials, a value is sum q f(p/q), and
a gradient is central differences of that value. Logits are doubles of a few digits, read exactly.
"""

import json
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mpmath  # type: ignore[import-untyped]  # it ships no types
from mpmath import mpf

FILE = Path(__file__).with_name("unlearning") / "divergences.json"
DIGITS = 30
"""How many are written: twice what a double holds."""
STEP = mpf(10) ** -60
"""Of the differences; their error is its square."""
ORDERS = (-0.5, 0.5, 1.5, 3.0)

Function = Callable[[Any], Any]


def functions() -> Iterator[tuple[str, float | None, Function]]:
    """Give name, order and f of every divergence."""
    yield "kl", None, lambda u: u * mpmath.log(u)
    yield "reverse-kl", None, lambda u: -mpmath.log(u)
    yield "js", None, lambda u: (u * mpmath.log(u) - (1 + u) * mpmath.log((1 + u) / 2)) / 2
    yield "chi2", None, lambda u: (u - 1) ** 2
    yield "hellinger", None, lambda u: (mpmath.sqrt(u) - 1) ** 2
    yield "tv", None, lambda u: abs(u - 1) / 2
    for order in ORDERS:
        yield "alpha", order, _power(mpf(order))


def _power(a: Any) -> Function:
    return lambda u: (u**a - a * u - (1 - a)) / (a * (a - 1))


def pairs() -> Iterator[tuple[str, list[float], list[float]]]:
    """Give name, teacher's and student's logits."""
    for name, teacher, student in _drawn():  # rounded: the last bit of a logarithm differs between platforms
        yield name, [round(z, 6) for z in teacher], [round(z, 6) for z in student]


def _drawn() -> Iterator[tuple[str, list[float], list[float]]]:
    confident, lost = [0.99, *[0.01 / 9] * 9], [1e-3, *[0.999 / 9] * 9]
    yield "a sure teacher, a student that forgot", [math.log(p) for p in confident], [math.log(q) for q in lost]
    yield "two classes", [0.5, -0.25], [-1.0, 2.0]
    rng = random.Random(4)
    for scale in (0.5, 3.0, 12.0):
        teacher, student = ([rng.gauss(0.0, scale) for _ in range(5)] for _ in range(2))
        yield f"random, deviation {scale:g}", teacher, student
    teacher = [rng.gauss(0.0, 2.0) for _ in range(5)]
    yield "nearly alike", teacher, [z + 1e-4 * rng.gauss(0.0, 1.0) for z in teacher]
    for far in (30.0, 300.0):
        yield f"{far:g} apart", [far, 0.0, 1.0, 0.0], [0.0, 1.0, 0.5, far]


def softmax(logits: list[Any]) -> list[Any]:
    """Return exp(z_c) / sum exp(z), at the working precision."""
    powers = [mpmath.exp(z) for z in logits]
    return [power / mpmath.fsum(powers) for power in powers]


def value(f: Function, teacher: list[Any], student: list[Any]) -> Any:
    """Return sum q f(p/q)."""
    return mpmath.fsum(q * f(p / q) for p, q in zip(softmax(teacher), softmax(student), strict=True))


def slope(f: Function, teacher: list[Any], student: list[Any], place: int) -> Any:
    """Return the derivative of `value` in one logit of the student: by central differences."""
    sides = []
    for sign in (1, -1):
        moved = list(student)
        moved[place] += sign * STEP
        sides.append(value(f, teacher, moved))
    return (sides[0] - sides[1]) / (2 * STEP)


def build() -> dict[str, Any]:
    """Return the document: every divergence at every pair of logits."""
    cases = []
    for name, teacher_floats, student_floats in pairs():
        with mpmath.workdps(
            450
        ):  # ratios reach 1e260 and a difference loses the 60 digits of its step: 50 stay, and more
            teacher, student = [mpf(z) for z in teacher_floats], [mpf(z) for z in student_floats]
            answers = []
            for divergence, order, f in functions():
                gradient = [slope(f, teacher, student, place) for place in range(len(student))]
                answers.append(
                    {
                        "divergence": divergence,
                        **({} if order is None else {"order": order}),
                        "value": mpmath.nstr(value(f, teacher, student), DIGITS),
                        "gradient": [mpmath.nstr(one, DIGITS) for one in gradient],
                    }
                )
        cases.append({"name": name, "teacher": teacher_floats, "student": student_floats, "answers": answers})
    return {"schema": "fedaudit/divergences-1", "digits": DIGITS, "cases": cases}


def text() -> str:
    """Return the file's text."""
    return json.dumps(build(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
