"""How the sums and the solver grow: synthetic rows, each width in a process of its own so that its memory is its own.

python tests/benchmarks/llm_scale.py WIDTH ROWS      one measurement, as JSON
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from attacks_rows import Row, slope
from llm_cases import Asked

from unlearning.llm.layer_statistics import gram_of
from unlearning.llm.solve import WIDEST_CHOLESKY, gates_of_rows, solve_gate
from unlearning.llm.spent import spending

WIDTHS = {
    "small": (256, 1536, 4096),
    "standard": (256, 1536, 4096, 8192),
    "full": (256, 1536, 4096, 8192, 14336),
}
ROWS = {"small": (1000, 10_000), "standard": (1000, 10_000, 100_000), "full": (1000, 10_000, 100_000)}
"""The largest at a width of 1536 alone; all widths at the smallest."""
AT_WIDTH = 1536
BLOCK = 2048
FORGET = 256
RIDGE = 0.3
SLOPE, SPARE_MIB = 2.1, 512


def measure(asked: Asked) -> Iterator[Row]:
    """Yield time and memory over the width, and time over the number of rows."""
    least = ROWS[asked.points][0]
    by_width = {width: _apart(width, least) for width in WIDTHS[asked.points]}
    for width, found in by_width.items():
        limit = 3 * width**2 * 8 / 2**20 + SPARE_MIB
        told = f"sums {found['gram_s']:.2f} s, {found['method']}, {found['iterations']} iterations"
        yield Row(f"scale, m {width}, {least} rows: solve", found["solve_s"], "s", note=told)
        peak = found["peak_mebibytes"]
        yield Row(f"scale, m {width}: peak memory", peak, "MiB", f"<= {limit:.0f}", peak <= limit)
    wide = [width for width in by_width if AT_WIDTH <= width <= WIDEST_CHOLESKY]
    grown = slope(wide, [by_width[width]["gram_s"] for width in wide])
    yield Row("scale, slope of the sums in m", grown, "", f"<= {SLOPE:g}", grown <= SLOPE, n=len(wide))
    seconds = [_apart(AT_WIDTH, rows)["gram_s"] for rows in ROWS[asked.points]]
    yield Row(f"scale, slope of the sums in rows, m {AT_WIDTH}", slope(ROWS[asked.points], seconds), "", n=len(seconds))


def _apart(width: int, rows: int) -> dict[str, Any]:
    """Return one measurement from a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), str(width), str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def _once(width: int, rows: int) -> dict[str, Any]:
    """Return seconds and memory of the sums, and of the solver that this width takes."""
    generator = torch.Generator().manual_seed(width)

    def drawn(count: int) -> torch.Tensor:
        return torch.randn(count, width, generator=generator)

    forget = drawn(FORGET)
    begun = time.process_time()
    if width > WIDEST_CHOLESKY:
        keep, made = drawn(rows), 0.0
        begun = time.process_time()
        gate = gates_of_rows(forget, keep)(RIDGE)
    else:
        gram, spent = gram_of(forget), 0.0
        for start in range(0, rows, BLOCK):
            block = drawn(min(BLOCK, rows - start))  # drawing is not part of the work
            turn = time.process_time()
            gram += gram_of(block)
            spent += time.process_time() - turn
        made, begun = spent, time.process_time()
        gate = solve_gate(forget.sum(0), gram, ridge=RIDGE)
    return {
        "gram_s": made, "solve_s": time.process_time() - begun, "method": gate.method, "iterations": gate.iterations,
    }  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    with spending() as spent:  # of this process alone: what getrusage says is never less than its parent's
        found = _once(int(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps(found | {"peak_mebibytes": spent.peak_rss_mib}))
