"""What the server of a Flower app wants of its rounds, and the header that follows for one of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from secrets import token_bytes

from secagg.failures import HONEST_BUT_CURIOUS, MALICIOUS
from secagg.limits import ParameterError, require_word
from secagg.params import SERVERS, select_parameters
from secagg.quantize import Quantization, largest_levels
from secagg.records import Header, HeaderQuantization

Beacon = Callable[[int, Sequence[str]], tuple[bytes, str]]
"""Given the round's number and its clients: 32 bytes that were fixed after that list, and `public:WHERE`."""
RINGS = (32, 64)
UNIFORM = Quantization(8.0, 2**22)
"""22 bits for a range of 8 on either side: one step is 4e-6."""


@dataclass(frozen=True)
class SecAggConfig:
    """The server's side of every round; clients judge it by their `ClientPolicy`."""

    corrupt_fraction: float = 0.05
    """Share of corrupt clients that a round withstands."""
    dropout_fraction: float = 0.05
    """Share of clients that may drop out."""
    server_trust: str = HONEST_BUT_CURIOUS
    """`malicious` adds signatures and a consistency check; clients then need vouched identities in their policy."""
    degree: int | None = None
    """Neighbours of a client; None lets `select_parameters` choose degree and threshold for each round's cohort."""
    threshold: int | None = None
    """Shares that rebuild a secret; given with `degree` or not at all."""
    modulus_bits: int = 32
    """Width of the ring: 32, or 64 where many clients, many levels or large weights would overflow."""
    quantization: Quantization = UNIFORM
    """Of the *update*, trained minus sent. `weighting="integer"` weighs by `num-examples`, up to `max_weight`, as
    FedAvg does; `uniform` weighs all clients alike."""
    identities: Mapping[str, bytes] | None = None
    """Ed25519 public keys by node id as text; where given, messages are signed."""
    beacon: Beacon | None = None
    """Source of the graph's randomness; None lets the server draw it, which a malicious one may not (sparse graphs)."""

    def __post_init__(self) -> None:
        require_word("server_trust", self.server_trust, SERVERS)
        if self.modulus_bits not in RINGS:
            raise ParameterError("modulus_bits", self.modulus_bits, "32 or 64")
        if (self.degree is None) != (self.threshold is None):
            raise ParameterError("threshold", self.threshold, "given together with degree, or neither")
        if self.server_trust == MALICIOUS and self.identities is None:
            raise ParameterError("identities", None, "a public key for every client, as the server is not trusted")

    def header(self, run: str, number: int, clients: Sequence[str], elements: int, model_sha256: str) -> Header:
        """Return the proposal for one round.

        Args:
            run: What the run is called.
            number: Of the round, from 1.
            clients: The cohort.
            elements: Length of an update.
            model_sha256: Digest of the model that all of them start from.

        Raises:
            secagg.limits.ParameterError: A value does not suit this cohort; says which and what is allowed.
            secagg.params.InfeasibleParameters: No degree and threshold are private and correct enough.
        """
        ids = sorted(clients)
        rule = self.quantization
        most = largest_levels(len(ids), self.modulus_bits, rule.max_weight)
        if rule.levels > most:
            wider = "; or a ring of 64 bits" if self.modulus_bits == 32 else ""
            told = f"at most {most} with {len(ids)} clients and max_weight {rule.max_weight}{wider}"
            raise ParameterError("levels", rule.levels, told)
        degree, threshold = self._parameters(len(ids))
        beacon, source = self.beacon(number, ids) if self.beacon else (token_bytes(32), "server")
        return Header(
            run=run,
            round=number,
            clients=self._keys(ids),
            degree=degree,
            threshold=threshold,
            beacon=beacon,
            beacon_source=source,
            server_trust=self.server_trust,
            signatures=self.identities is not None,
            consistency_check=self.server_trust == MALICIOUS,
            modulus_bits=self.modulus_bits,
            length=elements + (rule.weighting == "integer"),
            quantization=HeaderQuantization(rule.clipping_range, rule.levels, rule.weighting, rule.max_weight),
            model_sha256=model_sha256,
            corrupt_fraction=self.corrupt_fraction,
            dropout_fraction=self.dropout_fraction,
            software="fedaudit, Flower adapter",
        )

    def _parameters(self, clients: int) -> tuple[int, int]:
        if self.degree is not None and self.threshold is not None:
            return self.degree, self.threshold
        chosen = select_parameters(clients, self.corrupt_fraction, self.dropout_fraction, self.server_trust)
        return chosen.degree, chosen.threshold

    def _keys(self, ids: Sequence[str]) -> dict[str, bytes | None]:
        if self.identities is None:
            return dict.fromkeys(ids)
        for one in ids:
            if one not in self.identities:
                raise ParameterError("identities", f"nothing for client {one}", "a public key for every client")
        return {one: self.identities[one] for one in ids}
