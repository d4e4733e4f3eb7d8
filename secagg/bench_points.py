"""Where secure aggregation is measured: the rounds, and how much better than the peer they must come out."""

from dataclasses import dataclass

from secagg.quantize import Quantization
from secagg.setting import RoundConfig

CLIPPING_RANGE = 8.0
LEVELS = 2**22
"""Steps on both sides: Flower's default."""
FEWER_LEVELS = 2**18
"""For cohorts beyond 1000, whose sum of 2^22 levels each would wrap around 2^32."""


@dataclass(frozen=True)
class Point:
    """One round to measure."""

    name: str
    clients: int
    dim: int
    degree: int | None = None
    """None, like the next, takes the guarded choice for 5 % corrupt and 5 % dropped."""
    threshold: int | None = None
    dropped: int = 0
    """Clients that vanish before they send their masked vector."""
    client_at_least: float | None = None
    """Times less CPU time than the peer's client; None where nothing is asked."""
    server_at_least: float | None = None
    upload_at_most: float | None = None
    """Share of the peer's bytes."""
    error_at_most: float | None = None
    """Times the peer's largest error."""
    peer_memory: bool = True
    """Whether the peer runs once more to measure its memory."""

    def config(self) -> RoundConfig:
        """Return the round, degree and threshold chosen."""
        levels = LEVELS if self.clients <= 1000 else FEWER_LEVELS
        rule = Quantization(CLIPPING_RANGE, levels)
        return RoundConfig(self.clients, self.dim, self.degree, self.threshold, quantization=rule).chosen()


_EQUAL_BUT_FOR_CHANCE = 1.15
"""Both sides round stochastically to the same steps, so the largest of 10^5 errors follows the same law."""
SMALL = (
    Point("n=10", 10, 10**5, 9, 7, 0, 5, 20, 0.51),
    Point("n=30", 30, 10**5, 29, 20, 0, 12, 150, 0.51, _EQUAL_BUT_FOR_CHANCE),
    Point("n=30, 3 dropped", 30, 10**5, 29, 20, 3, 12, 120, 0.51),
)
STANDARD = (
    *SMALL,
    Point("n=100, k=34, 5 dropped", 100, 10**6, 34, 20, 5, 5, None, 0.51),
    Point("n=100", 100, 10**5, 99, 67, 0, 40, 1000, 0.53, peer_memory=False),  # minutes a round
)
SCALE = (
    Point("scale n=100", 100, 10**5),
    Point("scale n=1000", 1000, 10**5),
    Point("scale n=10000", 10_000, 10**5),
    Point("scale n=100, dim 10^6", 100, 10**6),
    Point("scale n=1000, dim 10^6", 1000, 10**6),
    Point("scale n=100, dim 10^7", 100, 10**7),
)
LARGEST = Point("scale n=10000, dim 10^6, 500 dropped", 10_000, 10**6, dropped=500)
RACED = {"small": SMALL, "standard": STANDARD, "full": STANDARD, "scale": ()}
"""Set of points to those run beside the peer."""
SCALED = {"small": (), "standard": (), "full": (*SCALE, LARGEST), "scale": SCALE}
"""Set of points to those run alone."""
