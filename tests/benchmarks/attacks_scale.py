"""Identification among 10^3 to 10^6 candidates: distances a second, memory, and how the time grows."""

import time
from collections.abc import Iterator

import numpy as np
from attacks_rows import Row, peak_mebibytes, slope

from audit.identify import identified

DIMENSION = 784
PAIRS = 1e7
MEBIBYTES = 1024.0
POWERS = {"small": (3, 4, 5), "standard": (3, 4, 5, 6), "full": (3, 4, 5, 6)}
GUESSES = {"small": 512, "standard": 512, "full": 1024}


def measure(points: str, seed: int) -> Iterator[Row]:
    """Yield the rows; candidates are bytes, as pixels are, and a million of them take 0.73 GiB."""
    rng = np.random.default_rng(seed)
    seconds: list[float] = []
    for power in POWERS[points]:
        pool = rng.integers(0, 256, size=(10**power, DIMENSION), dtype=np.uint8)
        guesses = pool[: GUESSES[points]] + 60 * rng.standard_normal((GUESSES[points], DIMENSION))
        before = peak_mebibytes()
        begun = time.process_time()
        found = identified(guesses, np.arange(len(guesses)), pool)
        seconds.append(time.process_time() - begun)
        grown = peak_mebibytes() - before
        speed = len(guesses) * len(pool) / seconds[-1]
        met = speed >= PAIRS and grown <= MEBIBYTES
        note = f"{grown:.0f} MiB beside the candidates, {found.sum()} of {len(guesses)} identified"
        yield Row(f"identification, 10^{power} candidates", speed, "pairs/s", ">= 1e7, <= 1 GiB", met, note=note)
    yield Row("  slope of log time over log candidates", slope([10.0**power for power in POWERS[points]], seconds), "")
