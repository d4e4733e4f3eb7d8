"""Secure aggregation beside a peer, and alone as cohorts and vectors grow.

Equal terms: cohort, degree, threshold, length, clipping, levels, ring and drop-outs are the same on both sides; runs
alternate in one process, and the medians of their CPU times are compared; both means are held against the plaintext
mean of the survivors. What ours pays more: it signs, verifies signatures, and reads and writes every message.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg.bench_points import RACED, SCALED, Point
from secagg.bench_rows import Row, Target, scale_targets, stream_targets
from secagg.bench_scale import Progress, WrongMean, apart, peak_mib, scaled_round
from secagg.bench_stream import StreamRates, stream_rates
from secagg.measure import Measured, measured_round
from secagg.setting import RoundConfig

LARGEST_ERROR = 1e-5
"""A mean further from the plaintext one is wrong, and the benchmark void."""
Race = Callable[[RoundConfig, NDArray[np.float32], int], Measured]


@dataclass(frozen=True)
class Benchmark:
    """All that was measured."""

    rows: tuple[Row, ...]
    stream: StreamRates
    targets: tuple[Target, ...]
    peer: dict[str, str] | None
    """Name and version."""

    def as_fields(self) -> dict[str, Any]:
        """Return it as the JSON keys of the command line."""
        return {
            "points": [row.as_fields(self.peer) for row in self.rows],
            "stream": asdict(self.stream),
            "targets": [asdict(target) for target in self.targets],
        }


def run_benchmark(points: str, *, peer: bool, repeats: int, progress: Progress) -> Benchmark:
    """Measure a set of points: `small`, `standard`, `scale` or `full`.

    Args:
        points: which set.
        peer: whether Flower runs beside ours.
        repeats: of each side; the median counts.
        progress: told what is being measured.

    Raises:
        WrongMean: a side did not come to the plaintext mean.
        ImportError: a peer is wanted and Flower is not installed.
    """
    named = None
    if peer:
        from secagg.flower.measure import version

        named = {"name": "flower", "version": version()}
    progress("mask stream")
    stream = stream_rates(max(15, repeats), peer=peer)
    rows = [_raced(point, repeats, progress, peer=peer) for point in RACED[points]]
    scaled = [Row(point, point.config(), scaled_round(point, progress)) for point in SCALED[points]]
    targets = [*stream_targets(stream), *(target for row in rows for target in row.targets()), *scale_targets(scaled)]
    return Benchmark((*rows, *scaled), stream, tuple(targets), named)


def _raced(point: Point, repeats: int, progress: Progress, *, peer: bool) -> Row:
    """Run both sides in turns; who begins alternates as well."""
    config, sides = point.config(), _sides(peer=peer)
    updates = _updates(config)
    seen: dict[str, list[Measured]] = {name: [] for name in sides}
    for turn in range(repeats):
        for name in sorted(sides, reverse=bool(turn % 2)):
            measured = sides[name](config, updates, point.dropped)
            figures = f"client {measured.client_ms:.2f} ms, server {measured.server_s:.4f} s"
            progress(f"{point.name}: {name}, {turn + 1} of {repeats}: {figures}")
            if measured.max_abs_error is None or not measured.max_abs_error <= LARGEST_ERROR:
                raise WrongMean(f"{point.name}: {name} is {measured.max_abs_error} from the plaintext mean")
            seen[name].append(measured)
    medians = {name: _median(runs) for name, runs in seen.items()}
    for name in sides:
        if name == "ours" or point.peer_memory:
            progress(f"{point.name}: {name}, memory")
            medians[name] = replace(medians[name], peak_rss_mib=apart(_memory_of, name, point))
    return Row(point, config, medians["ours"], medians.get("peer"))


def _sides(*, peer: bool) -> dict[str, Race]:
    if not peer:
        return {"ours": measured_round}
    from secagg.flower.measure import measured_flower_round

    return {"ours": measured_round, "peer": measured_flower_round}


def _updates(config: RoundConfig) -> NDArray[np.float32]:
    rng = np.random.default_rng(config.clients)
    return rng.standard_normal((config.clients, config.length), np.float32)


def _median(runs: Sequence[Measured]) -> Measured:
    return Measured(
        median(run.client_ms for run in runs),
        median(run.server_s for run in runs),
        runs[0].upload_bytes,
        median(run.max_abs_error or 0.0 for run in runs),
    )


def _memory_of(name: str, point: Point) -> float:
    config = point.config()
    _sides(peer=name != "ours")[name](config, _updates(config), point.dropped)
    return peak_mib()
