"""What a calibration costs: the command on 120 items with its start-up, and the bootstrap beside a loop."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from attacks_rows import Row, by_turns
from sklearn.metrics import cohen_kappa_score

from compliance.agreement import bootstrap_kappa
from compliance.aireg import read_scores

SCORES = Path(__file__).parents[2] / "compliance/data/aireg_scores.json"
RATER = "GPT-4o"
REPEATS, RESAMPLES = 5, 2000
MOST_SECONDS = 2.0
_MAIN = "from audit.cli.main import main; main()"


def rows() -> Iterable[Row]:
    """Yield the rows of the calibration."""
    seconds = statistics.median(_command() for _ in range(REPEATS))
    yield Row(
        "calibrate --scores, 120 items, cold: time on the wall", seconds, "s", f"<= {MOST_SECONDS:g}",
        seconds <= MOST_SECONDS, n=REPEATS, note=f"B = {RESAMPLES}",
    )  # fmt: skip
    dataset = read_scores(SCORES)
    scores = np.array([item.scores[RATER] for item in dataset.items])
    reference = np.array([item.reference for item in dataset.items])

    def looped() -> None:
        for drawn in np.random.default_rng(0).integers(0, len(scores), (RESAMPLES, len(scores))):
            cohen_kappa_score(scores[drawn], reference[drawn], weights="quadratic", labels=[1, 2, 3, 4, 5])

    ours, theirs = by_turns(
        [lambda: bootstrap_kappa(scores, reference, np.random.default_rng(0), RESAMPLES), looped], REPEATS
    )
    what = f"kappa of {RESAMPLES} resamples of 120 items: CPU time"
    yield Row(what, ours, "s", peer="scikit-learn, looped", peer_value=theirs, n=REPEATS)


def _command() -> float:
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--scores", str(SCORES), "--rater", RATER, "-o", f"{folder}/calibration.json"]
        command = [sys.executable, "-c", _MAIN, "compliance", "calibrate", *arguments]
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - begun
        if not Path(folder, "calibration.json").is_file():
            raise RuntimeError("the command wrote no calibration, so its time means nothing")
    return seconds


if __name__ == "__main__":
    for row in rows():
        print(row)
