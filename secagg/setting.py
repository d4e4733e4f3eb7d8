"""What a simulated round is set up with: the cohort, the numbers of its header, and the policy of its clients."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from secrets import token_bytes

from secagg.failures import HONEST_BUT_CURIOUS, MALICIOUS
from secagg.keys import Entropy, Identity
from secagg.limits import MOST_CLIENTS, ParameterError, require_degree, require_fraction, require_whole, require_word
from secagg.params import ETA, SERVERS, SIGMA, select_parameters, select_threshold
from secagg.policy import ClientPolicy
from secagg.quantize import Quantization, largest_levels
from secagg.records import Header, HeaderQuantization

SERIALISED_CLIENTS = 1000
"""Cohorts up to this size write every message to bytes and read it back, unless the setting says otherwise."""


@dataclass(frozen=True)
class RoundConfig:
    """A round to simulate. Raises `ParameterError` for values that no round can have."""

    clients: int
    length: int
    """Elements of an update."""
    degree: int | None = None
    """Neighbours of a client; None takes the guarded choice for the fractions."""
    threshold: int | None = None
    """Shares that rebuild a secret; None as for the degree."""
    corrupt_fraction: float = 0.05
    dropout_fraction: float = 0.05
    server_trust: str = HONEST_BUT_CURIOUS
    """`malicious` brings signatures and the consistency check."""
    modulus_bits: int = 32
    quantization: Quantization = Quantization(8.0, 2**22)  # noqa: RUF009  (frozen)
    weights: tuple[int, ...] | None = None
    """One a client, with integer weighting."""
    required_sigma: float = SIGMA
    """What the clients' policy asks for; 0 lets any parameters through, like the next."""
    required_eta: float = ETA
    signatures: bool | None = None
    """Whether clients sign; None does so against a malicious server and where the round is recorded."""
    model_sha256: str | None = None
    run: str = "simulation"
    round: int = 1
    serialise: bool | None = None
    """Whether messages and vectors are written to bytes and read back; None: in cohorts up to 1000."""
    compare: bool = True
    """Whether the plaintext sum is computed as well, to compare the unmasked one with."""

    def __post_init__(self) -> None:
        require_whole("clients", self.clients, 2, MOST_CLIENTS)
        require_whole("dim", self.length, 1, 2**40)
        require_fraction("corrupt_fraction", self.corrupt_fraction)
        require_fraction("dropout_fraction", self.dropout_fraction)
        require_word("server_trust", self.server_trust, SERVERS)
        if self.modulus_bits not in (32, 64):
            raise ParameterError("modulus_bits", self.modulus_bits, "32 or 64")
        if self.degree is not None:
            require_degree(self.clients, self.degree)
        if self.threshold is not None:
            require_whole("threshold", self.threshold, 1, self.degree or self.clients - 1)
        self._require_room()
        self._require_weights()

    def _require_room(self) -> None:
        """Refuse a sum that could wrap around the ring: clients * levels * max_weight >= 2^modulus_bits."""
        rule = self.quantization
        most = largest_levels(self.clients, self.modulus_bits, rule.max_weight)
        if rule.levels > most:
            wider = ", or 64 bits" if self.modulus_bits == 32 else ""
            raise ParameterError("levels", rule.levels, f"at most {most} for {self.modulus_bits} bits{wider}")

    def _require_weights(self) -> None:
        if (self.weights is None) != (self.quantization.weighting == "uniform"):
            raise ParameterError("weights", self.weights, "given with integer weighting and with no other")
        if self.weights is None:
            return
        if len(self.weights) != self.clients:
            raise ParameterError("weights", f"{len(self.weights)} of them", f"one for each of {self.clients} clients")
        for row, weight in enumerate(self.weights):
            if not 1 <= weight <= self.quantization.max_weight:
                allowed = f"a whole number from 1 to {self.quantization.max_weight}"
                raise ParameterError("weights", f"{weight} in row {row}", allowed)

    @property
    def ids(self) -> tuple[str, ...]:
        """c00001, c00002, .., sorted as text as well: row i of the updates is the i-th."""
        width = max(5, len(str(self.clients)))
        return tuple(f"c{place:0{width}d}" for place in range(1, self.clients + 1))

    @property
    def serialised(self) -> bool:
        """Whether messages are written to bytes and read back."""
        return self.clients <= SERIALISED_CLIENTS if self.serialise is None else self.serialise

    @property
    def malicious(self) -> bool:
        """Whether the server is held to be malicious."""
        return self.server_trust == MALICIOUS

    def chosen(self) -> "RoundConfig":
        """Return the config with degree and threshold filled in by the guarded rule.

        Raises:
            secagg.params.InfeasibleParameters: there is no choice for these fractions.
            ParameterError: the degree that was given has no sufficient threshold.
        """
        if self.degree is not None and self.threshold is not None:
            return self
        asked = (self.corrupt_fraction, self.dropout_fraction, self.server_trust)
        if self.degree is None:
            choice = select_parameters(self.clients, *asked)
            threshold = choice.threshold if self.threshold is None else self.threshold
            require_whole("threshold", threshold, 1, choice.degree)
            return replace(self, degree=choice.degree, threshold=threshold)
        found = select_threshold(self.clients, self.degree, *asked)
        if found is None:
            allowed = f"a degree with a threshold of {SIGMA:g} and {ETA:g} bits; or give the threshold as well"
            raise ParameterError("degree", self.degree, allowed)
        return replace(self, threshold=found)

    def header(self, beacon: bytes, identities: Mapping[str, Identity] | None) -> Header:
        """Return the header of the round; with `identities` clients sign. Degree and threshold must be chosen."""
        rule = self.quantization
        keys = {one: None if identities is None else identities[one].public_key for one in self.ids}
        return Header(
            run=self.run,
            round=self.round,
            clients=keys,
            degree=self.degree or 0,
            threshold=self.threshold or 0,
            beacon=beacon,
            beacon_source="simulation",
            server_trust=self.server_trust,
            signatures=identities is not None,
            consistency_check=self.malicious,
            modulus_bits=self.modulus_bits,
            length=self.length + (rule.weighting == "integer"),
            quantization=HeaderQuantization(rule.clipping_range, rule.levels, rule.weighting, rule.max_weight),
            model_sha256=self.model_sha256,
            corrupt_fraction=self.corrupt_fraction,
            dropout_fraction=self.dropout_fraction,
        )

    def policy(self, identities: Mapping[str, Identity] | None) -> ClientPolicy:
        """Return what the simulated clients accept: the default policy, with the bits that the setting asks for."""
        vouched = None if identities is None else {one: key.public_key for one, key in identities.items()}
        return ClientPolicy(
            required_sigma=self.required_sigma,
            required_eta=self.required_eta,
            identities=vouched,
            simulated_beacon=True,
        )


def make_identities(ids: tuple[str, ...], entropy: Entropy = token_bytes) -> dict[str, Identity]:
    """Return a lasting key pair for each client, for as many rounds as the caller likes."""
    return {one: Identity.generate(entropy) for one in ids}
