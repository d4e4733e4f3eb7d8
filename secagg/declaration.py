"""What a system file says of its secure aggregation, as the arguments of `secagg.params`."""

from dataclasses import asdict, dataclass

from reports.model import Federation, SecureAggregation, System
from secagg.failures import HONEST_BUT_CURIOUS
from secagg.params import Assessment, Parameters, assess_parameters, select_parameters, select_threshold

SECTION = "federation.secure_aggregation"
_NEEDED = ("clients", "degree", "threshold", "corrupt_fraction", "dropout_fraction")


@dataclass(frozen=True)
class DeclaredRound:
    """The numbers on which the security of a round rests."""

    clients: int
    degree: int
    threshold: int
    corrupt_fraction: float
    dropout_fraction: float
    server_trust: str
    """`honest-but-curious` or `malicious`."""

    def assess(self) -> Assessment:
        """Return what the declared degree and threshold are worth.

        Raises:
            secagg.limits.ParameterError: a number that no round can have.
        """
        return assess_parameters(**asdict(self))

    def select(self, rule: str = "guarded") -> Parameters:
        """Return what a rule would choose for the declared cohort.

        Raises:
            secagg.params.InfeasibleParameters: there is no choice.
            secagg.limits.ParameterError: a number that no round can have.
        """
        return select_parameters(
            self.clients, self.corrupt_fraction, self.dropout_fraction, self.server_trust, rule=rule
        )

    def select_threshold(self) -> int | None:
        """Return the threshold that suffices at the declared degree, None where none does.

        Raises:
            secagg.limits.ParameterError: a number that no round can have.
        """
        return select_threshold(
            self.clients, self.degree, self.corrupt_fraction, self.dropout_fraction, self.server_trust
        )


def missing_keys(system: System) -> tuple[str, ...]:
    """Return the keys that a `DeclaredRound` needs and the system file does not give, as paths."""
    section = _section(system)
    return tuple(f"{SECTION}.{key}" for key in _NEEDED if getattr(section, key) is None)


def declared_round(system: System) -> DeclaredRound | None:
    """Return the declared round; None where `missing_keys` names one.

    A trusted server, or one of which nothing is said, is judged as honest-but-curious: secure aggregation promises
    something only against a server that looks.
    """
    section, federation = _section(system), system.federation or Federation()
    if (
        section.clients is None
        or section.degree is None
        or section.threshold is None
        or section.corrupt_fraction is None
        or section.dropout_fraction is None
    ):
        return None
    trust = federation.server_trust
    return DeclaredRound(
        section.clients,
        section.degree,
        section.threshold,
        section.corrupt_fraction,
        section.dropout_fraction,
        HONEST_BUT_CURIOUS if trust in (None, "trusted") else trust,
    )


def _section(system: System) -> SecureAggregation:
    declared = system.federation.secure_aggregation if system.federation else None
    return declared or SecureAggregation()
