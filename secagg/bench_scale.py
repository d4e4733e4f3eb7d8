"""Rounds of ours alone, as cohorts and vectors grow: simulated one by one, each in a process of its own."""

import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from secagg.bench_points import Point
from secagg.drops import DropPlan
from secagg.measure import Measured

Progress = Callable[[str], None]
"""Told what is being measured; a function of a module, since it goes along into other processes."""
_COMPARED = 10**9
"""Elements of all updates together up to which the sum is compared with the plaintext one."""


class WrongMean(Exception):  # noqa: N818  (what it says)
    """A side did not come to the plaintext mean."""


def apart(work: Callable[..., Any], *given: Any) -> Any:
    """Return what `work` returns in a fresh process, whose memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, given)


def peak_mib() -> float:
    """Return the most memory of this process since its program began; where /proc has it, without the parent's."""
    status = Path("/proc/self/status")
    if not status.exists():
        from secagg.outcome import peak_rss_mib

        return peak_rss_mib()
    [line] = [one for one in status.read_text().splitlines() if one.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def scaled_round(point: Point, progress: Progress) -> Measured:
    """Return what the round of a point costs, simulated in a process of its own.

    Raises:
        WrongMean: the sum is not the plaintext one, or there is none.
    """
    measured: Measured = apart(_simulated, point, progress)
    return measured


def _simulated(point: Point, progress: Progress) -> Measured:
    from secagg.simulate import SeededUpdates, simulate_round

    told = {"phase": "", "tenth": -1}

    def tell(phase: str, done: int, total: int) -> None:
        tenth = 10 * done // total
        if (phase, tenth) != (told["phase"], told["tenth"]):
            told.update(phase=phase, tenth=tenth)
            progress(f"{point.name}: {phase} {done} of {total}")

    result = simulate_round(
        replace(point.config(), compare=point.clients * point.dim <= _COMPARED),
        SeededUpdates(1, point.dim),
        drop=DropPlan(counted={"masked-input": point.dropped}),
        rng=np.random.default_rng(1),
        progress=tell,
    )
    if result.exact is False or result.status != "ok":
        raise WrongMean(f"{point.name}: {result.reason or 'the sum is not the plaintext one'}")
    return Measured(result.client_ms, result.server_s, result.upload_bytes, result.max_abs_error, peak_mib())
