"""What verification says: of one round, over rounds, and altogether. `Verification.as_fields` is the CLI's document."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from secagg.params import Assessment
from secagg.recomputation import ABSENT
from secagg.records import Header
from secagg.violations import NOT_AUTHENTIC, Violation

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"
SIGNED, UNSIGNED, BROKEN = "signed", "unsigned", "broken"
GIVEN, BESIDE, NOBODY = "given", "beside", "nobody"


@dataclass(frozen=True)
class VerifiedRound:
    """One recorded round, judged."""

    path: str
    """What the source is called."""
    protocol: str
    run: str
    round: int
    session: str
    """Hexadecimal SHA-256 of the header line."""
    clients: int
    """In the cohort; 0 where the header cannot be read."""
    degree: int
    threshold: int
    server_trust: str
    """What the round was judged by: `honest-but-curious` or `malicious`."""
    phases: Mapping[str, int]
    """Clients whose records stand there: advertised, shared, masked, unmasked."""
    survivors: tuple[str, ...]
    """U3 as announced, sorted."""
    aggregate: str
    """`equal`, `different`, `withheld` or `absent` (`secagg.recomputation`)."""
    aggregate_sha256: str | None
    """Of the announced ring sum, little-endian."""
    violations: tuple[Violation, ...]
    parameters: Assessment | None
    """What degree and threshold are worth; None where no round can have them."""
    complete: bool
    """Whether the record goes to its end and all vectors are there."""
    identities: str = NOBODY
    """Who vouches for the clients' keys: `given` by the verifier, a file `beside` the lines, or `nobody`."""
    signed: bool = False
    """Whether every client's record is signed by a vouched key; never so where `identities` is `nobody`."""
    last: str = ""
    """The last complete record: its line and type."""
    withheld: tuple[str, ...] = ()
    """Digests of the vectors that are not there."""
    members: tuple[str, ...] = ()
    """The cohort, sorted."""
    header: Header | None = field(default=None, repr=False)
    """None where it cannot be read, and for captures of other protocols."""
    fingerprints: Mapping[bytes, tuple[str, str]] = field(default_factory=dict, repr=False)
    """What must never stand in two rounds, to its name and client: keys, commitments, digests of recovered seeds."""

    @property
    def authenticity(self) -> str:
        """`broken`, `signed` or `unsigned`.

        Signed means: nothing is broken, there are records of clients, and each of them bears a signature that verifies
        under the Ed25519 key that somebody vouches for outside the header, over this very session and so over the
        header. Keys that stand in the header alone vouch for nobody: whoever writes a transcript writes the header.
        A chain without signatures shows that nothing changed since it was written, not who wrote it: unsigned.
        What the server says is never signed; that clients were told its lists is what the consistency records show.
        """
        if any(violation.code in NOT_AUTHENTIC for violation in self.violations):
            return BROKEN
        return SIGNED if self.signed else UNSIGNED

    @property
    def identities_vouched(self) -> bool:
        """Whether somebody outside the header vouches for the clients' keys."""
        return self.identities != NOBODY

    @property
    def honest_survivors(self) -> int | None:
        """Clients in the sum less those counted as corrupt; None where nothing was summed."""
        if self.aggregate == ABSENT or self.parameters is None:
            return None
        return max(0, len(self.survivors) - self.parameters.corrupt)

    def as_fields(self) -> dict[str, Any]:
        """Return the round as JSON keys."""
        plain = (
            "path", "protocol", "run", "round", "session", "clients", "degree", "threshold", "server_trust",
            "aggregate", "aggregate_sha256", "complete", "authenticity", "identities", "last",
        )  # fmt: skip
        parameters = self.parameters
        return {name: getattr(self, name) for name in plain} | {
            "phases": dict(self.phases),
            "survivors": list(self.survivors),
            "withheld": list(self.withheld),
            "violations": [violation.as_fields() for violation in self.violations],
            "parameters": parameters and {**parameters.as_fields(), "sufficient": parameters.sufficient()},
        }


@dataclass(frozen=True)
class CrossRound:
    """What several rounds show together."""

    violations: tuple[Violation, ...] = ()
    isolated_clients: tuple[str, ...] = ()
    """Clients whose vector is a combination of the sums (`secagg.cohort`), if it changes little between rounds."""
    smallest_difference: int | None = None
    """Fewest clients in which two cohorts of survivors differ; None where no two differ."""

    def as_fields(self) -> dict[str, Any]:
        """Return it as JSON keys."""
        return {
            "violations": [violation.as_fields() for violation in self.violations],
            "isolated_clients": list(self.isolated_clients),
            "smallest_difference": self.smallest_difference,
        }


@dataclass(frozen=True)
class Verification:
    """The answer on one transcript or more."""

    transcripts: tuple[VerifiedRound, ...]
    cross_round: CrossRound

    @property
    def authenticity(self) -> str:
        """`broken` if one is, `signed` if all are, else `unsigned`."""
        found = {one.authenticity for one in self.transcripts}
        return BROKEN if BROKEN in found else SIGNED if found == {SIGNED} else UNSIGNED

    @property
    def complete(self) -> bool:
        """Whether all go to their end with all vectors there."""
        return all(one.complete for one in self.transcripts)

    @property
    def violations(self) -> tuple[Violation, ...]:
        """All that is wrong, round by round, then over rounds."""
        return (*(each for one in self.transcripts for each in one.violations), *self.cross_round.violations)

    @property
    def status(self) -> str:
        """`fail` where anything is wrong, `inconclusive` where something is missing, else `pass`."""
        return FAIL if self.violations else PASS if self.complete else INCONCLUSIVE

    @property
    def min_honest_survivors(self) -> int | None:
        """The smallest sum: clients in it less those counted as corrupt; None where nothing was summed."""
        return min((one.honest_survivors for one in self.transcripts if one.honest_survivors is not None), default=None)

    def as_fields(self) -> dict[str, Any]:
        """Return the document of `verify-transcript`, without the keys that all commands share."""
        return {
            "status": self.status,
            "authenticity": self.authenticity,
            "complete": self.complete,
            "transcripts": [one.as_fields() for one in self.transcripts],
            "cross_round": self.cross_round.as_fields(),
            "min_honest_survivors": self.min_honest_survivors,
        }
