"""What a client accepts of a server's proposal. A server proposes; each client decides for itself.

A client that took whatever it is offered would protect nothing: a threshold of one, a cohort of two or a ring that
overflows gives its update away within the protocol (Bonawitz et al. 2017, eprint 2017/281, section on active
adversaries).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from secagg.failures import HONEST_BUT_CURIOUS, MALICIOUS
from secagg.limits import ParameterError
from secagg.messages import Refusal
from secagg.params import Assessment, assess_parameters
from secagg.proposal import Proposal
from secagg.records import Header

PUBLIC = "public:"
"""How the source of a beacon begins that the server did not choose."""


@dataclass(frozen=True)
class ClientPolicy:
    """The weakest round that a client joins."""

    min_clients: int = 3
    """Clients in the cohort."""
    min_survivors: int | None = None
    """Clients in the sum; None asks for half of the cohort, and for three."""
    rings: frozenset[int] = frozenset((32, 64))
    """Widths of the ring in bits."""
    required_sigma: float = 40.0
    """Bits of privacy, by `secagg.params.assess_parameters`; 0 lets any parameters through."""
    required_eta: float = 20.0
    """Bits of correctness."""
    least_corrupt_fraction: float = 0.05
    """Share of corrupt clients to count with, whatever the header says."""
    min_corrupt: int = 1
    """Corrupt clients to count with: a server can always run one."""
    identities: Mapping[str, bytes] | None = None
    """Ed25519 public keys by client, from whoever vouches for them; a malicious server is not believed about keys."""
    beacons: Mapping[str, bytes] | None = None
    """Public beacons that the client looked up itself, by their source; None takes the value in the header."""
    simulated_beacon: bool = False
    """Whether the beacon of a simulation is taken for a public one. For simulations alone."""

    def survivors_wanted(self, clients: int) -> int:
        """Return how many clients a sum must cover."""
        return max(3, math.ceil(clients / 2)) if self.min_survivors is None else self.min_survivors

    def review(self, proposal: Proposal, client: str) -> None:
        """Return where the proposal is acceptable to `client`.

        Raises:
            secagg.messages.Refusal: `bad-header`, `unknown-identity` or one of `policy-*`.
        """
        header = proposal.header
        _require_possible(proposal, client)
        if len(proposal.ids) < self.min_clients:
            raise Refusal("policy-cohort", f"{len(proposal.ids)} clients; {self.min_clients} is the least")
        if header.threshold < 2:
            raise Refusal("policy-threshold", "one share alone would give a secret away; the least is 2")
        self._review_ring(header, len(proposal.ids))
        self._review_trust(proposal, client)
        self._review_parameters(proposal)

    def _review_ring(self, header: Header, clients: int) -> None:
        if header.modulus_bits not in self.rings:
            raise Refusal("policy-ring", f"a ring of {header.modulus_bits} bits is not among {sorted(self.rings)}")
        most = clients * header.quantization.levels * header.quantization.max_weight
        if most >= 2**header.modulus_bits:
            raise Refusal("policy-overflow", f"{clients} clients can sum to {most}, beyond {header.modulus_bits} bits")

    def _review_trust(self, proposal: Proposal, client: str) -> None:
        header = proposal.header
        malicious = header.server_trust == MALICIOUS
        if malicious and not (header.signatures and header.consistency_check):
            raise Refusal("bad-header", "against a malicious server signatures and the consistency check are needed")
        if header.consistency_check and not header.signatures:
            raise Refusal("bad-header", "a consistency check without signatures shows nothing")
        if header.signatures:
            self._review_identities(proposal, client, malicious=malicious)
        if not malicious or proposal.complete:
            return
        source = header.beacon_source
        if not source.startswith(PUBLIC) and not (self.simulated_beacon and source == "simulation"):
            raise Refusal(
                "policy-beacon", f"a malicious server may not choose the graph; its beacon is from {source!r}"
            )
        if self.beacons is not None and self.beacons.get(source) != header.beacon:
            raise Refusal("policy-beacon", f"the beacon is not what {source!r} published")

    def _review_identities(self, proposal: Proposal, client: str, *, malicious: bool) -> None:
        if self.identities is None:
            if malicious:
                raise Refusal("unknown-identity", "nobody vouches for the other clients' identity keys")
            return
        for one in (client, *proposal.graph[client]):
            vouched = self.identities.get(one)
            if vouched is None or vouched != proposal.header.clients[one]:
                raise Refusal("unknown-identity", f"the identity key of {one} is not the vouched one")

    def _review_parameters(self, proposal: Proposal) -> None:
        if self.required_sigma <= 0 and self.required_eta <= 0:
            return
        header = proposal.header
        try:
            assessment = _assess(
                len(proposal.ids),
                header.degree,
                header.threshold,
                max(header.corrupt_fraction, self.least_corrupt_fraction),
                header.dropout_fraction,
                header.server_trust,
                self.min_corrupt,
            )
        except ParameterError as error:
            raise Refusal("bad-header", str(error)) from error
        if not assessment.sufficient(self.required_sigma, self.required_eta):
            code = "policy-threshold" if proposal.complete else "policy-degree"
            raise Refusal(code, f"degree {header.degree} and threshold {header.threshold} are too weak")


def _require_possible(proposal: Proposal, client: str) -> None:
    """Refuse a header of a round that cannot be."""
    header, clients = proposal.header, len(proposal.ids)
    if client not in proposal.members:
        raise Refusal("bad-header", f"{client} is not in the cohort")
    if header.server_trust not in (HONEST_BUT_CURIOUS, MALICIOUS):
        raise Refusal("bad-header", f"server_trust is {header.server_trust!r}")
    degree, complete = header.degree, clients - 1
    if not 1 <= degree <= complete or (degree % 2 and degree != complete):
        raise Refusal("bad-header", f"degree {degree} does not fit {clients} clients")
    if not 1 <= header.threshold <= degree:
        raise Refusal("bad-header", f"threshold {header.threshold} does not fit {degree} neighbours")
    if header.length < 1 or header.quantization.clipping_range <= 0:
        raise Refusal("bad-header", "length and clipping range are above 0")
    if header.signatures and header.clients[client] is None:
        raise Refusal("bad-header", "signatures are wanted and no identity key is named")


@lru_cache(maxsize=32)
def _assess(
    clients: int, degree: int, threshold: int, corrupt: float, dropout: float, trust: str, min_corrupt: int
) -> Assessment:
    return assess_parameters(clients, degree, threshold, corrupt, dropout, trust, min_corrupt=min_corrupt)
