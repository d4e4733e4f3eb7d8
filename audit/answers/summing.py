"""The answers of `fedaudit secagg`: parameters, simulations, transcripts, races."""

from typing import Annotated, Literal

from pydantic import Field

from audit.answers.common import AnswerNoun
from reports.nouns import Count, FiniteNumber, Sha256, Text

ServerTrust = Literal["trusted", "honest-but-curious", "malicious"]
Number = FiniteNumber | int
"""JSON knows one kind of number."""


class Cohort(AnswerNoun):
    """How many take part, and how many of them are bad or lost."""

    clients: Count
    """Of one cohort."""
    corrupt: Count
    """That may collude with the server."""
    dropped: Count
    """That may be lost in a round."""
    server_trust: ServerTrust
    """What the server is assumed to do."""


class Levels(Cohort):
    """What a degree and a threshold are worth; a level is null where it is certain."""

    degree: Count | None
    """Neighbours of a client; null where there is no choice."""
    threshold: Count | None
    """Shares that rebuild a secret."""
    complete: bool | None
    """Whether all are neighbours."""
    sigma_bits: Number | None
    """Security: -log2 of the chance that a client's vector can be unmasked."""
    sigma_certain: bool | None
    """Whether that chance is zero."""
    sigma_bits_one_more: Number | None
    """The same with one more corrupt client."""
    eta_bits: Number | None
    """Correctness: -log2 of the chance that a round is lost."""
    eta_certain: bool | None
    """Whether that chance is zero."""


class Feasible(Levels):
    """Levels, and whether a rule finds parameters at all."""

    schema_: Annotated[Text, Field(alias="schema")]
    """Name and version of this shape."""
    rule: Text
    """`guarded` or `published`."""
    feasible: bool
    """Whether there is a choice."""
    reason: Text
    """Why not; else empty."""
    feasible_dropout_fraction: Number | None
    """The largest share of clients lost for which there is a choice; null where there is none at all."""


class ParamsAnswer(Feasible):
    """Of `fedaudit secagg params`."""


class AssessAnswer(Feasible):
    """Of `fedaudit secagg assess`."""

    sufficient: bool
    """Whether both levels reach what was asked for."""


class Declined(AnswerNoun):
    """One client's refusal."""

    client: Text
    """Who."""
    phase: Text
    """When."""
    code: Text
    """Why."""


class Malice(AnswerNoun):
    """What a planned malice came to."""

    knob: Text
    """Its name."""
    refused: bool
    """Whether everybody who was lied to declined."""
    refusals: tuple[Declined, ...]
    """By whom."""
    leaked: bool
    """Whether the server worked out the victim's vector."""
    loosened: tuple[Text, ...]
    """Defences that were switched off, so that the one under test came to its turn."""


class SimulatedRound(AnswerNoun):
    """One round; its sums are null where there is none to trust."""

    status: Literal["ok", "aborted"]
    """How it ended."""
    reason: Text | None
    """The code that ended it."""
    clients: Count
    """Of the cohort."""
    degree: Count
    """Neighbours of a client."""
    threshold: Count
    """Shares that rebuild a secret."""
    phases: dict[str, Count]
    """How many messages counted."""
    survivors: tuple[Text, ...]
    """Whose vectors are in the sum."""
    aggregate_sha256: Sha256 | None
    """Digest of the ring sum."""
    exact: bool | None
    """Whether it equals the plaintext sum."""
    max_abs_error: Number | None
    """Of the mean."""
    saturated: Count
    """Elements that clipping changed."""
    client_ms: Number
    """Median CPU time of a client, in milliseconds."""
    server_s: Number
    """CPU time of the server, in seconds."""
    upload_bytes: Count
    """Median of what a client sent."""
    peak_rss_mib: Number
    """The most memory of the process."""
    blamed: tuple[Text, ...]
    """Clients that were named for what they did."""
    attack: Malice | None
    """What the planned malice came to."""
    transcript: Text | None
    """The folder of its record."""


class SimulateAnswer(SimulatedRound):
    """Of `fedaudit secagg simulate`, one round."""

    schema_: Annotated[Text, Field(alias="schema")]
    """Name and version of this shape."""
    seed: Annotated[int, Field(strict=True, ge=0)]
    """Of graph, updates and rounding; may need more than 53 bits."""


class SimulateRoundsAnswer(AnswerNoun):
    """Of `fedaudit secagg simulate --rounds N`."""

    schema_: Annotated[Text, Field(alias="schema")]
    """Name and version of this shape."""
    seed: Annotated[int, Field(strict=True, ge=0)]
    """Of graph, updates and rounding; may need more than 53 bits."""
    rounds: tuple[SimulatedRound, ...]
    """One after another."""


class ViolationTold(AnswerNoun):
    """One thing that is wrong."""

    code: Text
    """Machine word."""
    phase: Text
    """The type of the record."""
    client: Text | None
    """Whose message it is, or who is exposed."""
    detail: Text
    """One sentence."""


class RoundLevels(Levels):
    """What a round's parameters are worth."""

    sufficient: bool
    """Whether both levels reach what is required."""


class CheckedRound(AnswerNoun):
    """One transcript."""

    path: Text
    """As it was named."""
    protocol: Text
    """Whose record it is."""
    run: Text | None
    """Name of the run."""
    round: Count | None
    """Its number."""
    session: Text | None
    """Digest that binds its messages."""
    clients: Count | None
    """Of the cohort."""
    degree: Count | None
    """Neighbours of a client."""
    threshold: Count | None
    """Shares that rebuild a secret."""
    server_trust: Text | None
    """What the server is assumed to do."""
    aggregate: Text
    """Whether the sum was recomputed: `equal`, `different`, `withheld` or why not."""
    aggregate_sha256: Sha256 | None
    """Digest of the ring sum."""
    complete: bool
    """Whether it goes to its end with all vectors there."""
    authenticity: Literal["signed", "unsigned", "broken"]
    """Whose record it is."""
    identities: Text | None
    """Where the clients' keys came from."""
    last: Text
    """The last record."""
    phases: dict[str, Count]
    """How many messages counted."""
    survivors: tuple[Text, ...]
    """Whose vectors are in the sum."""
    withheld: tuple[Text, ...]
    """Vectors that are not there."""
    violations: tuple[ViolationTold, ...]
    """What is wrong."""
    parameters: RoundLevels | None
    """What they are worth; null where the record does not say them."""


class RoundsTogether(AnswerNoun):
    """What several rounds show together."""

    violations: tuple[ViolationTold, ...]
    """What is wrong."""
    isolated_clients: tuple[Text, ...]
    """Whose vector is a combination of the sums."""
    smallest_difference: Count | None
    """Fewest clients in which two cohorts differ."""


class VerifyTranscriptAnswer(AnswerNoun):
    """Of `fedaudit secagg verify-transcript`."""

    schema_: Annotated[Text, Field(alias="schema")]
    """Name and version of this shape."""
    status: Literal["pass", "fail", "inconclusive"]
    """The answer."""
    authenticity: Literal["signed", "unsigned", "broken"]
    """Of the least of them."""
    complete: bool
    """Whether all go to their end."""
    transcripts: tuple[CheckedRound, ...]
    """In the order of the line."""
    cross_round: RoundsTogether
    """Over all of them."""
    min_honest_survivors: Count | None
    """The smallest sum: clients in it less those counted as corrupt."""


class Cost(AnswerNoun):
    """What one side of a race spent, in medians."""

    client_ms: Number
    """CPU time of a client, in milliseconds."""
    server_s: Number
    """CPU time of the server, in seconds."""
    upload_bytes: Count
    """What a client sent."""
    max_abs_error: Number | None
    """Of the mean."""
    peak_rss_mib: Number | None
    """The most memory of the process; null where it was not measured alone."""


class PeerCost(Cost):
    """What the other side spent."""

    name: Text
    """Who."""
    version: Text
    """Which."""


class Ratio(AnswerNoun):
    """Theirs over ours; of bytes and error ours over theirs."""

    client: Number
    """CPU time of a client."""
    server: Number
    """CPU time of the server."""
    upload: Number
    """Bytes."""
    error: Number
    """Of the mean."""


class RacedPoint(AnswerNoun):
    """One setting, measured."""

    name: Text
    """For people."""
    clients: Count
    """Of the cohort."""
    degree: Count | None
    """Neighbours of a client."""
    threshold: Count | None
    """Shares that rebuild a secret."""
    dim: Count
    """Elements of a vector."""
    dropped: Count
    """Clients that were lost."""
    levels: Count
    """Of quantisation."""
    modulus_bits: Count
    """Of the ring."""
    ours: Cost
    """Our side."""
    peer: PeerCost | None
    """The other."""
    ratio: Ratio | None
    """Of the two."""


class Stream(AnswerNoun):
    """CPU time of one mask, in milliseconds."""

    ours_ms: Number
    """Ours."""
    aes_ms: Number
    """The bare cipher."""
    peer_ms: Number | None
    """The peer's generator."""


class TargetTold(AnswerNoun):
    """What was asked of a figure."""

    name: Text
    """Which figure."""
    value: Number
    """As measured."""
    bound: Text
    """Such as `<= 0.51`."""
    met: bool
    """Whether it was met."""


class BenchAnswer(AnswerNoun):
    """Of `fedaudit secagg bench`."""

    schema_: Annotated[Text, Field(alias="schema")]
    """Name and version of this shape."""
    points: tuple[RacedPoint, ...]
    """One after another."""
    stream: Stream
    """Of the masks."""
    targets: tuple[TargetTold, ...]
    """What was asked for."""
