"""What the residual test found, as numbers and pictures."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from audit.dp.bar import epsilon_bar, recomputed
from audit.dp.canaries import LARGEST_EPSILON
from audit.dp.claim import claims_of
from audit.dp.mechanism import ResidualTest
from audit.dp.noise import LEVEL, SHORTFALL, Noise
from reports.model import DifferentialPrivacy, Interval, Measurement, System, Threshold
from reports.plot import IntervalRow, IntervalsPlot

MOST_ROWS = 40
"""Of a picture; the measurements do not depend on it."""


@dataclass(frozen=True)
class Tested:
    """What was tested, and what it was tested on."""

    system: System
    """The system."""
    declared: DifferentialPrivacy
    """Its mechanism."""
    test: ResidualTest
    """What the rounds say."""
    labels: tuple[str, ...]
    """What to call each round."""
    left_out: tuple[str, ...]
    """Why others could not be tested."""

    def named(self, rounds: tuple[int, ...]) -> str:
        """Return up to three rounds by name."""
        more = f" and {len(rounds) - 3} more" if len(rounds) > 3 else ""
        return ", ".join(self.labels[number] for number in rounds[:3]) + more


def measurements(test: ResidualTest) -> Iterator[Measurement]:
    """Yield the numbers."""
    found, z = test.noise_multiplier, test.declared
    if found is not None:
        high = found.high if math.isfinite(found.high) else None
        yield Measurement(
            name="noise_multiplier",
            value=found.value,
            interval=None if high is None else Interval(low=found.low, high=high, confidence=1 - LEVEL),
            n=found.coordinates,
            method="root mean square of released sum less contributions, over the clipping norm; chi-squared interval",
            threshold=Threshold(op=">=", limit=SHORTFALL * z),
            control=found.value * 0.5 * min(1.0, z / found.value) if found.value > 0 else 0.0,
        )
    if test.contributions:
        yield Measurement(
            name="clip_exceeded",
            value=float(test.clip_exceeded),
            n=test.contributions,
            method="contributions longer than the clipping norm by more than 1e-4, and than rounding can make them",
            threshold=Threshold(op="<=", limit=0.0),
        )
    if test.correlation is not None:
        most = test.correlation.value * test.correlation.limit / max(test.correlation.deviations, 1e-300)
        yield Measurement(
            name="noise_correlation",
            value=test.correlation.value,
            method="largest correlation of the noise of two rounds",
            threshold=Threshold(op="<=", limit=min(1.0, most)),
        )


def plots(tested: Tested) -> Iterator[IntervalsPlot]:
    """Yield the noise by tensor, and the epsilon that follows from it beside the claimed."""
    test, found = tested.test, tested.test.noise_multiplier
    if found is None:
        return
    rows = [_row("all", found, test.declared)]
    rows += [_row(name[:120], noise, test.declared) for name, noise in list(test.per_tensor.items())[:MOST_ROWS]]
    yield IntervalsPlot(
        title="Noise in the recorded sums, by tensor", x="standard deviation over the clipping norm", rows=tuple(rows)
    )
    claims = claims_of(tested.system)
    if not claims or claims[0].delta is None:
        return
    measured = _epsilon_row(tested, found)
    yield epsilon_bar(claims[0], recomputed(tested.system, claims[0]), measured)


def _epsilon_row(tested: Tested, found: Noise) -> IntervalRow | None:
    """Return the epsilon of the mechanism with the noise that was found in place of the declared."""
    claim = claims_of(tested.system)[0]
    if not (found.low > 0 and math.isfinite(found.high)):
        return None
    middle, low, high = (
        recomputed(tested.system, claim, noise_multiplier=noise) for noise in (found.value, found.high, found.low)
    )
    if middle is None or low is None or high is None:
        return None
    if middle.estimate > LARGEST_EPSILON:
        return IntervalRow(label=f"measured: over {LARGEST_EPSILON:g}", value=LARGEST_EPSILON)
    return IntervalRow(label="at the measured noise", value=middle.estimate, low=low.lower, high=high.upper)


def _row(label: str, noise: Noise, declared: float) -> IntervalRow:
    ends = (noise.low, noise.high) if math.isfinite(noise.high) else (None, None)
    return IntervalRow(label=label, value=noise.value, low=ends[0], high=ends[1], limit=SHORTFALL * declared)
