"""What grows: identification among 10^3 to 10^6 candidates, rounds of 10^5 to 10^9 coordinates; time, memory, slope.

Candidates are bytes, as pixels are: a million of 784 take 0.73 GiB. The tensors of a large round are the same million
numbers under many names, so that a round of 10^9 coordinates is read in full and takes no memory.
"""

import time
from collections.abc import Iterator

import numpy as np
from attacks_rows import Row, peak_mebibytes, slope

from audit.dp.mechanism import residual_test
from audit.identify import identified

DIMENSION = 784
PAIRS = 1e7
MEBIBYTES = 1024.0
POWERS = {"small": (3, 4, 5), "standard": (3, 4, 5, 6), "full": (3, 4, 5, 6)}
GUESSES = {"small": 512, "standard": 512, "full": 1024}


COORDINATES = {"small": (5, 6, 7), "standard": (5, 6, 7, 8), "full": (5, 6, 7, 8, 9)}
TENSOR = 10**6
"""Coordinates of a tensor, at most."""
CLIENTS, ROUNDS = 2, 2
STREAMED = 100.0
NOISE, NORM = 1.0, 1.0


def measure(points: str, seed: int, _device: str) -> Iterator[Row]:
    """Yield the rows."""
    rng = np.random.default_rng(seed)
    yield from identification(POWERS[points], GUESSES[points], rng)
    yield from streaming(COORDINATES[points], rng)


def identification(powers: tuple[int, ...], count: int, rng: np.random.Generator) -> Iterator[Row]:
    """Yield distances a second by the number of candidates."""
    seconds: list[float] = []
    for power in powers:
        pool = rng.integers(0, 256, size=(10**power, DIMENSION), dtype=np.uint8)
        guesses = pool[:count] + 60 * rng.standard_normal((count, DIMENSION))
        before, begun = peak_mebibytes(), time.process_time()
        found = identified(guesses, np.arange(count), pool)
        seconds.append(time.process_time() - begun)
        grown = peak_mebibytes() - before
        speed = count * len(pool) / seconds[-1]
        met = speed >= PAIRS and grown <= MEBIBYTES
        note = f"{grown:.0f} MiB beside the candidates, {found.sum()} of {count} identified"
        yield Row(f"identification, 10^{power} candidates", speed, "pairs/s", ">= 1e7, <= 1 GiB", met, note=note)
    yield Row("  slope of log time over log candidates", slope([10.0**power for power in powers], seconds), "")


def streaming(powers: tuple[int, ...], rng: np.random.Generator) -> Iterator[Row]:
    """Yield how many bytes of rounds a second the test of the noise reads."""
    residual_test([({"warm": np.ones(9)}, [{"warm": np.zeros(9)}])], NOISE, NORM)  # imports, and no more
    seconds: list[float] = []
    for power in powers:
        names = [f"layer{number}.weight" for number in range(max(1, 10**power // TENSOR))]
        shape = 10**power // len(names)
        rounds = []
        for _ in range(ROUNDS):
            length = np.sqrt(10.0**power)
            parts = [(rng.standard_normal(shape) * 0.9 * NORM / length).astype(np.float32) for _ in range(CLIENTS)]
            total = (sum(parts) + NOISE * NORM * rng.standard_normal(shape)).astype(np.float32)
            rounds.append((dict.fromkeys(names, total), [dict.fromkeys(names, part) for part in parts]))
        before, begun = peak_mebibytes(), time.process_time()
        test = residual_test(rounds, NOISE, NORM)
        seconds.append(time.process_time() - begun)
        grown = peak_mebibytes() - before
        speed = 4 * 10**power * ROUNDS * (CLIENTS + 1) / seconds[-1] / 1e6
        measured = "" if test.noise_multiplier is None else f", noise multiplier {test.noise_multiplier.value:.4g}"
        what = f"noise of {ROUNDS} rounds, 10^{power} coordinates"
        yield Row(what, speed, "MB/s", ">= 100", speed >= STREAMED, note=f"{grown:.0f} MiB more{measured}")
    yield Row("  slope of log time over log coordinates", slope([10.0**power for power in powers], seconds), "")
