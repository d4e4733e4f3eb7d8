"""What was measured, and what had been asked of it."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from secagg.bench_points import LARGEST, Point
from secagg.bench_stream import StreamRates, aes_seconds
from secagg.measure import Measured
from secagg.setting import RoundConfig

LARGEST_MEMORY_MIB = 2048


@dataclass(frozen=True)
class Target:
    """What was asked of a figure, and whether it was met."""

    name: str
    value: float
    bound: str
    """`>= 40` or `<= 0.51`."""
    met: bool

    @classmethod
    def at_least(cls, name: str, value: float, bound: float) -> "Target":
        """Return a target that is met from `bound` on."""
        return cls(name, value, f">= {bound:g}", value >= bound)

    @classmethod
    def at_most(cls, name: str, value: float, bound: float) -> "Target":
        """Return a target that is met up to `bound`."""
        return cls(name, value, f"<= {bound:g}", value <= bound)


@dataclass(frozen=True)
class Row:
    """One point, measured."""

    point: Point
    config: RoundConfig
    ours: Measured
    peer: Measured | None = None

    def ratio(self) -> dict[str, float] | None:
        """Return how many times less the client and the server compute, and what share of the bytes is sent."""
        if self.peer is None:
            return None
        return {
            "client": self.peer.client_ms / self.ours.client_ms,
            "server": self.peer.server_s / self.ours.server_s,
            "upload": self.ours.upload_bytes / self.peer.upload_bytes,
            "error": (self.ours.max_abs_error or 0.0) / (self.peer.max_abs_error or math.nan),
        }

    def targets(self) -> list[Target]:
        """Return the targets of this point against the peer."""
        ratio, point = self.ratio(), self.point
        if ratio is None:
            return []
        most = (("upload", point.upload_at_most), ("error", point.error_at_most))
        least = (("client", point.client_at_least), ("server", point.server_at_least))
        return [
            *(Target.at_least(f"{point.name}: {one}", ratio[one], bound) for one, bound in least if bound),
            *(Target.at_most(f"{point.name}: {one}", ratio[one], bound) for one, bound in most if bound),
        ]

    def as_fields(self, peer: dict[str, str] | None) -> dict[str, Any]:
        """Return it as JSON keys; `peer` is the name and version of the other side."""
        config = self.config
        return {
            "name": self.point.name,
            "clients": config.clients,
            "degree": config.degree,
            "threshold": config.threshold,
            "dim": config.length,
            "dropped": self.point.dropped,
            "levels": config.quantization.levels,
            "modulus_bits": config.modulus_bits,
            "ours": asdict(self.ours),
            "peer": None if self.peer is None or peer is None else {**peer, **asdict(self.peer)},
            "ratio": self.ratio(),
        }


def stream_targets(stream: StreamRates) -> list[Target]:
    """Return the targets of the mask stream."""
    targets = [Target.at_least("mask stream: share of the AES rate", stream.aes_ms / stream.ours_ms, 0.8)]
    if stream.peer_ms is not None:
        targets.append(Target.at_least("mask stream: times Flower's", stream.peer_ms / stream.ours_ms, 4))
    return targets


def scale_targets(rows: Sequence[Row]) -> list[Target]:
    """Return the targets of the rounds that ran alone: memory, growth with the length, nearness to the cipher."""
    targets = [
        Target.at_most(f"{row.point.name}: MiB", row.ours.peak_rss_mib or math.nan, LARGEST_MEMORY_MIB) for row in rows
    ]
    along = {row.point.dim: row.ours.client_ms for row in rows if row.point.clients == 100}
    if len(along) > 1:
        exponent = float(np.polyfit(np.log(list(along)), np.log(list(along.values())), 1)[0])
        targets.append(Target("client_ms over dim: exponent", exponent, "1.0 +- 0.1", abs(exponent - 1) <= 0.1))
    targets += [
        Target.at_most(f"{row.point.name}: times the keystream's own time", _over_keystream(row), 2)
        for row in rows
        if row.point is LARGEST
    ]
    return targets


def _over_keystream(row: Row) -> float:
    """Return CPU time of all survivors and the server, over that of the cipher alone for all their masks."""
    point, degree = row.point, row.config.degree or 0
    survivors = point.clients - point.dropped
    masks = survivors * (degree + 1) + survivors + point.dropped * degree * survivors / point.clients
    spent = survivors * row.ours.client_ms / 1000 + row.ours.server_s
    return spent / (masks * aes_seconds() * point.dim / 10**6)
