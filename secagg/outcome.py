"""How a simulated round ended, for programs and for people."""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Refused:
    """One client's refusal."""

    client: str
    phase: str
    """`open`, or one of `secagg.drops.PHASES`."""
    code: str
    """Of the table of refusals."""


@dataclass(frozen=True)
class AttackOutcome:
    """What a planned malice came to."""

    knob: str
    refused: bool
    """Whether everybody who was lied to declined to go on; for a lying client, whether it was named for it."""
    refusals: tuple[Refused, ...]
    leaked: bool
    """Whether the server worked out the victim's own vector, within one step of quantisation."""
    loosened: tuple[str, ...] = ()
    """Fields of the client's policy that were loosened, so that the defence under test came to its turn."""

    def as_fields(self) -> dict[str, object]:
        """Return it as JSON keys."""
        told = [dict(vars(one)) for one in self.refusals]
        return {**vars(self), "refusals": told, "loosened": list(self.loosened)}


@dataclass(frozen=True, eq=False)
class RoundResult:
    """A round that was simulated. Sums are None where there is none to trust: never a wrong one."""

    status: str
    """`ok` or `aborted`."""
    reason: str | None
    """The code that ended it; None where it went well."""
    clients: int
    degree: int
    threshold: int
    phases: Mapping[str, int]
    """How many messages counted: advertised, shared, masked, unmasked."""
    survivors: tuple[str, ...] = ()
    """U3; empty where the round did not come so far."""
    total: NDArray[Any] | None = field(default=None, repr=False)
    """Ring sum of the survivors."""
    mean: NDArray[np.float64] | None = field(default=None, repr=False)
    exact: bool | None = None
    """Whether `total` equals the plaintext ring sum; None where there is nothing to compare."""
    max_abs_error: float | None = None
    """Of `mean`, against the mean of the survivors' updates as they were given."""
    saturated: int = 0
    """Elements that clipping changed, over all survivors."""
    client_ms: float = 0.0
    """Median CPU time of a client, in milliseconds."""
    server_s: float = 0.0
    """CPU time of the server, in seconds."""
    upload_bytes: int = 0
    """Median of what a client sent: its messages and its vector."""
    peak_rss_mib: float = 0.0
    """The most memory that this process ever held, clients, server and comparison together."""
    blamed: Mapping[str, str] = field(default_factory=dict)
    """Client to the code of what it did."""
    refusals: tuple[Refused, ...] = ()
    attack: AttackOutcome | None = None

    @property
    def aggregate_sha256(self) -> str | None:
        """Digest of the ring sum as little-endian words."""
        if self.total is None:
            return None
        return hashlib.sha256(np.ascontiguousarray(self.total, self.total.dtype.newbyteorder("<")).data).hexdigest()

    def as_fields(self) -> dict[str, object]:
        """Return it as the JSON keys of the command line."""
        return {
            "status": self.status,
            "reason": self.reason,
            "clients": self.clients,
            "degree": self.degree,
            "threshold": self.threshold,
            "phases": dict(self.phases),
            "survivors": list(self.survivors),
            "aggregate_sha256": self.aggregate_sha256,
            "exact": self.exact,
            "max_abs_error": self.max_abs_error,
            "saturated": self.saturated,
            "client_ms": self.client_ms,
            "server_s": self.server_s,
            "upload_bytes": self.upload_bytes,
            "peak_rss_mib": self.peak_rss_mib,
            "blamed": sorted(self.blamed),
            "attack": None if self.attack is None else self.attack.as_fields(),
        }


def peak_rss_mib() -> float:
    """Return the most memory that this process ever held, in MiB; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # not a Unix
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
