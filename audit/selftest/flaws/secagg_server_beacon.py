"""A graph that the server can choose: it tries beacons until its own clients surround somebody."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from audit.selftest.flaw import flaw
from audit.selftest.secure import ROUND, Rounds, recorded_system
from audit.selftest.workshop import Workshop
from reports.model import System
from secagg.keys import Identity
from secagg.records import Header
from secagg.setting import RoundConfig

DEGREE, THRESHOLD = 8, 6
"""Of a sparse graph: where everybody is everybody's neighbour there is nothing to choose."""


@dataclass(frozen=True)
class Sourced(RoundConfig):
    """A round whose header says where its beacon is from."""

    beacon_source: str = "simulation"

    def header(self, beacon: bytes, identities: Mapping[str, Identity] | None) -> Header:
        """Return the header with its source."""
        return replace(super().header(beacon, identities), beacon_source=self.beacon_source)


@flaw(
    "secagg-server-beacon",
    "A server that may lie chooses who is whose neighbour",
    caught_by=("secagg.graph",),
)
def secagg_server_beacon(make: Workshop, *, planted: bool) -> System:
    """Record two rounds on a sparse graph whose beacon is the server's own, or public.

    The clients are those without defences: ours refuse such a beacon.
    """
    source = "server" if planted else "public:an example of a beacon"
    sparse = {"degree": DEGREE, "threshold": THRESHOLD, "server_trust": "malicious", "beacon_source": source}
    return recorded_system(make, replace(Rounds(), config=Sourced(**vars(ROUND) | sparse), client="weak"))
