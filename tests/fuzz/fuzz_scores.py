"""Scores and calibrations: refused in documented words, or figures that are finite, sealed and read back."""

import hashlib
import json
import random
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from mutation import Mutate, fuzz, mutate_bytes, mutate_value, refusal

from compliance.aireg import Dataset, read_scores
from compliance.calibration import calibrate, calibration_bytes, read_calibration
from compliance.calibration_file import sealed
from compliance.errors import CalibrationError
from reports.canonical import canonical_json

SHIPPED = Path(__file__).parents[2] / "compliance/data/aireg_scores.json"
DAY = date(2026, 11, 21)
RESAMPLES = 20


def few() -> dict[str, Any]:
    """A small scores file with a little of everything: two uses, texts, gaps, ratings and scores that are missing."""
    whole = json.loads(SHIPPED.read_bytes())
    items = [whole["items"][place] for place in (0, 1, 2, 15, 16, 17)]
    for number, item in enumerate(items):
        item["text"] = "It is not tested. " * number + "It is tested and documented."
    items[0]["human"][1], items[1]["scores"]["GPT-4o"] = None, None
    del items[0]["median"], items[2]["annotators"]
    return {"schema": whole["schema"], "items": items}


def calibrated(dataset: Dataset) -> bytes:
    """The calibration of the first rater of a data set, or of one who said nothing."""
    raters = dataset.raters()
    given = {name: dataset.scores_of(name) for name in raters}
    made = calibrate(
        dataset, given[raters[0]] if raters else {}, on=DAY, rng=np.random.default_rng(0), raters=given,
        resamples=RESAMPLES,
    )  # fmt: skip
    assert not made.meets_bar
    assert made.status == "not_admitted"
    assert sealed(made) == made
    return calibration_bytes(made)


def step(data: bytes, folder: Path) -> str:
    """Read what begins with `s` as scores and calibrate them, with `c` as a calibration."""
    path = folder / "file.json"
    path.write_bytes(data[1:])
    readers: dict[bytes, Callable[[], bytes]] = {
        b"s": lambda: calibrated(read_scores(path)),
        b"c": lambda: calibration_bytes(read_calibration(path)),
    }
    prefix = "calibration." if data[:1] == b"c" else "scores."
    try:
        made = readers[b"c" if data[:1] == b"c" else b"s"]()
    except CalibrationError as error:
        return f"{refusal(error, prefix=prefix)} [{prefix}]"
    path.write_bytes(made)
    assert calibration_bytes(read_calibration(path)) == made
    return "accepted"


def mutate_members(data: bytes, rng: random.Random) -> bytes:
    """Change a value of the JSON; a calibration is sealed anew in two of three, so that what lies deeper is reached."""
    try:
        value = mutate_value(json.loads(data[1:]), rng)
        if data[:1] == b"c" and isinstance(value, dict) and rng.random() < 0.67:
            others = {name: member for name, member in value.items() if name != "sha256"}
            value = {**others, "sha256": hashlib.sha256(canonical_json(others)).hexdigest()}
        return data[:1] + json.dumps(value).encode("utf-8", "surrogatepass")
    except Exception:  # no JSON any more, or nothing with a canonical form
        return data[:1] + mutate_bytes(data[1:], rng)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        scores = json.dumps(few()).encode()
        (root / "scores.json").write_bytes(scores)
        seeds = [b"s" + scores, b"c" + calibrated(read_scores(root / "scores.json"))]
        mutations: list[Mutate] = [
            mutate_members, mutate_members, mutate_members,
            lambda data, rng: data[:1] + mutate_bytes(data[1:], rng),
        ]  # fmt: skip
        fuzz("scores", seeds, lambda data: step(data, root), mutations)
