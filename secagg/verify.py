"""A recorded round, verified from outside: is it what it says it is, did it keep to the protocol, does the sum follow?

    line ─▶ chain ─▶ signatures ─▶ course ─┬▶ dealings      keys, recipients
                                           ├▶ views         what survivors were told
                                           └▶ disclosures   shares ─▶ secrets ─▶ recomputation
    rounds ─▶ what they show together

Nothing in a transcript is believed and nothing in it makes verification fail: what is wrong becomes a `Violation`, and
all of them are listed. Lines are read one at a time and vectors mapped one at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from reports.errors import FileError
from secagg.chain import Chain, Record, protocol_of
from secagg.course import Course
from secagg.dealings import Dealings
from secagg.disclosures import Disclosures, Secrets
from secagg.failures import MALICIOUS
from secagg.ledger import Ledger
from secagg.limits import ParameterError
from secagg.messages import SERVER
from secagg.params import SERVERS, Assessment, assess_parameters
from secagg.prg import DTYPES
from secagg.recomputation import ABSENT, recompute
from secagg.recorded_graph import RecordedGraph
from secagg.records import PROTOCOL, Advertise, Consistency, Header, MaskedInput, Shares, Unmask
from secagg.rounds import across
from secagg.signatures import Signatures
from secagg.source import Source
from secagg.transcript import read_transcript
from secagg.verification import BESIDE, GIVEN, NOBODY, CrossRound, Verification, VerifiedRound
from secagg.views import Views
from secagg.wire import MalformedRecord

__all__ = ["CrossRound", "NotATranscript", "Verification", "VerifiedRound", "verify_sources", "verify_transcripts"]

CAPTURE = "flwr-secaggplus"
"""The protocol that a capture of Flower's own SecAgg+ names."""
_COUNTED = {"advertised": Advertise.TYPE, "shared": Shares.TYPE, "masked": MaskedInput.TYPE, "unmasked": Unmask.TYPE}


class NotATranscript(FileError):  # noqa: N818  the name says what the file is
    """The file does not begin with the header of a protocol that is known here."""


def verify_transcripts(
    paths: Sequence[Path], identities: Mapping[str, bytes] | None = None, *, server_trust: str | None = None
) -> Verification:
    """Return what the transcripts at `paths` show, each alone and all together.

    Args:
        paths: Folders of transcripts, or their files of lines.
        identities: Client to Ed25519 public key, from whoever vouches for them; None takes `identities.json` beside
            each transcript where there is one.
        server_trust: `honest-but-curious` or `malicious`; None takes each header's word. Against a malicious server
            missing signatures and a missing consistency check are violations; what a header promises always binds.

    Raises:
        FileError: a path holds no transcript (`NotATranscript`), or cannot be read.
        ValueError: another `server_trust`.
    """
    return verify_sources([read_transcript(path) for path in paths], identities, server_trust=server_trust)


def verify_sources(
    sources: Sequence[Source], identities: Mapping[str, bytes] | None = None, *, server_trust: str | None = None
) -> Verification:
    """Return `verify_transcripts` of sources that are open already."""
    if server_trust is not None and server_trust not in SERVERS:
        raise ValueError(f"server_trust is {' or '.join(SERVERS)}, not {server_trust!r}")
    rounds = tuple(_verify(source, identities, server_trust) for source in sources)
    return Verification(rounds, across(rounds))


def _verify(source: Source, identities: Mapping[str, bytes] | None, server_trust: str | None) -> VerifiedRound:
    first = next(source.lines(), b"")
    protocol = protocol_of(first)
    if protocol == CAPTURE:
        from secagg.flower.judgement import judge_capture

        return judge_capture(source, server_trust)
    if protocol != PROTOCOL and f'"{PROTOCOL}"'.encode() not in first:
        message = f"{source.name} is not a {PROTOCOL} transcript: its first line is no header of that protocol"
        raise NotATranscript("secagg.not_a_transcript", message, "Give the folder of a recorded round.")
    return _Verifier(source, identities, server_trust).verify()


class _Verifier:
    """Verifies one round of our own protocol."""

    def __init__(self, source: Source, identities: Mapping[str, bytes] | None, server_trust: str | None) -> None:
        self._source, self._asked_trust = source, server_trust
        self._ledger = Ledger()
        self._chain = Chain(self._ledger)
        self._last = ""
        self._vouched, self._whose = identities, NOBODY if identities is None else GIVEN
        if identities is None:
            try:
                self._vouched = source.identities()
                self._whose = NOBODY if self._vouched is None else BESIDE
            except MalformedRecord as error:
                self._ledger.add("malformed-record", "", None, str(error))

    def verify(self) -> VerifiedRound:
        """Read all lines and return what they show."""
        lines = self._source.lines()
        first = next(lines, b"")
        session = sha256(first).digest()
        record = self._read(first)
        header = record.message.body if record is not None and isinstance(record.message.body, Header) else None
        parameters = None if header is None else self._assess(header)
        if header is None or parameters is None:  # without a round to compare with, only form and chain are judged
            for line in lines:
                self._read(line)
            return self._told(session, header)
        round_ = _Round(self._source, header, session, self._ledger)
        trust = self._asked_trust or header.server_trust
        malicious = trust == MALICIOUS
        signatures = Signatures(
            header, session, self._vouched, required=header.signatures or malicious, ledger=self._ledger
        )
        for line in lines:
            following = self._read(line)
            if following is not None and (following.message.sender == SERVER or signatures.belongs(following)):
                round_.take(following)
        return round_.conclude(self._told(session, header, parameters), malicious=malicious, signed=signatures.complete)

    def _read(self, line: bytes) -> Record | None:
        record = self._chain.read(line)
        if record is not None:
            self._last = f"{record.where} ({record.type})"
        return record

    def _assess(self, header: Header) -> Assessment | None:
        """Return what the parameters are worth, None where no round can have this header, which is noted."""
        bits, quantization = header.modulus_bits, header.quantization
        problem = ""
        if bits not in DTYPES:
            problem = f"modulus_bits is {bits}; allowed is 32 or 64"
        elif quantization.clipping_range <= 0:
            problem = "clipping_range is not above 0"
        elif header.beacon_source not in ("server", "simulation") and not header.beacon_source.startswith("public:"):
            problem = "beacon_source is not server, simulation or public:TEXT"
        elif SERVER in header.clients:
            problem = f"no client is called {SERVER}"
        if not problem:
            try:
                return assess_parameters(
                    len(header.clients),
                    header.degree,
                    header.threshold,
                    header.corrupt_fraction,
                    header.dropout_fraction,
                    self._asked_trust or header.server_trust,
                )
            except ParameterError as error:
                problem = str(error)
        self._ledger.add("malformed-record", Header.TYPE, None, f"line 1: {problem}")
        return None

    def _told(self, session: bytes, header: Header | None, parameters: Assessment | None = None) -> VerifiedRound:
        """Return what the header says of the round, and what was noted so far."""
        return VerifiedRound(
            path=self._source.name,
            protocol=PROTOCOL,
            run=header.run if header else "",
            round=header.round if header else 0,
            session=session.hex(),
            clients=len(header.clients) if header else 0,
            degree=header.degree if header else 0,
            threshold=header.threshold if header else 0,
            server_trust=self._asked_trust or (header.server_trust if header else ""),
            phases=dict.fromkeys(_COUNTED, 0),
            survivors=(),
            aggregate=ABSENT,
            aggregate_sha256=None,
            violations=self._ledger.violations,
            parameters=parameters,
            complete=False,
            identities=self._whose,
            last=self._last,
            members=header.ids if header else (),
            header=header,
        )


class _Round:
    """Judges the records of one round whose header is sound."""

    def __init__(self, source: Source, header: Header, session: bytes, ledger: Ledger) -> None:
        self._source, self._ledger = source, ledger
        self._graph = RecordedGraph(header)
        self._course = Course(header, session, ledger)
        self._dealings = Dealings(self._course, self._graph, ledger)
        self._views = Views(self._course, self._graph, ledger)
        self._disclosures = Disclosures(self._course, self._dealings, self._graph, ledger)
        clients, rule = len(header.clients), header.quantization
        most = clients * rule.levels * rule.max_weight
        if most >= 2**header.modulus_bits:
            detail = f"line 1: {clients} clients can sum to {most}, beyond a ring of {header.modulus_bits} bits"
            ledger.add("overflow", Header.TYPE, None, detail)

    def take(self, record: Record) -> None:
        """Take the next record: its place in the round first, then what it says."""
        new, body = self._course.admit(record), record.message.body
        if isinstance(body, Unmask):
            self._disclosures.take(record)  # a second answer is out of order, and discloses all the same
        elif not new:
            return
        elif isinstance(body, Advertise):
            self._dealings.take_keys(record)
        elif isinstance(body, Shares):
            self._dealings.take_shares(record)
        elif isinstance(body, Consistency):
            self._views.take(record.message.sender, body)

    def conclude(self, told: VerifiedRound, *, malicious: bool, signed: bool) -> VerifiedRound:
        """Return the round with all that shows only at its end."""
        course = self._course
        self._views.judge(required=course.header.consistency_check or malicious)
        self._disclosures.judge()
        secrets = self._disclosures.secrets()
        outcome = recompute(self._source, course, self._dealings, self._graph, secrets, self._ledger)
        ended = course.aggregate is not None and not self._source.cut_short
        return replace(
            told,
            phases={name: len(course.senders[kind]) for name, kind in _COUNTED.items()},
            survivors=tuple(sorted(course.survivors or ())),
            aggregate=outcome.aggregate,
            aggregate_sha256=None if course.aggregate is None else course.aggregate.blob,
            violations=self._ledger.violations,
            complete=ended and not outcome.withheld,
            signed=signed,
            withheld=outcome.withheld,
            fingerprints=self._fingerprints(secrets),
        )

    def _fingerprints(self, secrets: Secrets) -> dict[bytes, tuple[str, str]]:
        """Return what must be new in every round; of a recovered seed its digest alone."""
        found: dict[bytes, tuple[str, str]] = {}
        for client, keys in self._dealings.keys.items():
            found[keys.mask_key] = ("mask_key", client)
            found[keys.share_key] = ("share_key", client)
        for client, dealing in self._dealings.dealt.items():
            found[bytes.fromhex(dealing.commitment)] = ("commitment", client)
        for client, seed in secrets.seeds.items():
            found[sha256(b"seed" + seed).digest()] = ("seed", client)
        return found
