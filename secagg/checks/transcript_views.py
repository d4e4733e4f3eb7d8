"""What all clients must see alike, or be sure of: the survivors, each other's keys, the model."""

from collections.abc import Iterator

from reports.check import Context, check
from reports.model import Finding, Severity, Strength, System
from secagg.checks.active import CONFIDENTIALITY, INTEGRITY, TESTED
from secagg.checks.transcript_answer import ask_transcripts
from secagg.checks.transcript_codes import TRANSCRIPTS
from secagg.checks.transcript_question import Doubt, Found, Question
from secagg.declaration import SECTION
from secagg.flower.records import PROTOCOL as CAPTURE
from secagg.records import Header
from secagg.verification import NOBODY, VerifiedRound
from secagg.violations import Violation

MALICIOUS = "federation.server_trust=malicious"


def _no_agreement(one: VerifiedRound) -> Iterator[Found]:
    if one.protocol == CAPTURE:
        detail = "the protocol has no step in which clients agree on the survivors"
        yield Found(one.path, Violation("missing-consistency", Header.TYPE, None, detail))


def _no_signatures(one: VerifiedRound) -> Iterator[Found]:
    if one.protocol == CAPTURE:
        detail = "the protocol signs nothing, so the server can put its own keys in place of any"
        yield Found(one.path, Violation("bad-signature", Header.TYPE, None, detail))


def _not_vouched(one: VerifiedRound) -> Iterator[Doubt]:
    if one.identities == NOBODY:
        yield Doubt(one.path, f"missing:{SECTION}.identities", "names keys that nobody outside it vouches for")
    elif not one.signed:
        yield Doubt(one.path, "unsigned", "holds records without a signature by a vouched key")


def _no_model(one: VerifiedRound) -> Iterator[Doubt]:
    if one.header is not None and one.header.model_sha256 is None:
        yield Doubt(one.path, "missing:model_sha256", "does not say on which model its clients trained")


_ONE_VIEW = Question(
    sound="In {rounds} everybody who unmasked had signed the recorded list of survivors, and enough neighbours too.",
    lacks=_no_agreement,
)
_VOUCHED = Question(
    sound="In {rounds} every record of a client is signed by the identity key that is vouched for.",
    doubts=_not_vouched,
    lacks=_no_signatures,
)
_ONE_MODEL = Question(
    sound="In {rounds} all clients trained on one model.",
    doubts=_no_model,
    limitations=("The digest is the client's word of what it trained on.",),
)


@check(
    "secagg.consistency",
    "All clients unmasked the same survivor list",
    needs=(TRANSCRIPTS, MALICIOUS),
    controls=(CONFIDENTIALITY, *TESTED),
    kinds=("secagg",),
    strength=Strength.EXACT,
    severity=Severity.CRITICAL,
)
def consistency(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask whether all who unmasked had signed one list of survivors, as against a malicious server they must.

    Two lists make two kinds of shares of one client, and so its vector. Fails on `split-view` and
    `missing-consistency`, and on a protocol without such a step; inconclusive on transcripts that are not authentic or
    end early, and when a planted one of either goes unnoticed (`control-failed`). Passes else.
    """
    yield ask_transcripts(_ONE_VIEW, system, ctx)


@check(
    "secagg.key-authenticity",
    "Every key is signed by a vouched identity",
    needs=(TRANSCRIPTS, MALICIOUS),
    controls=(CONFIDENTIALITY, INTEGRITY, *TESTED),
    kinds=("secagg",),
    strength=Strength.EXACT,
    severity=Severity.CRITICAL,
)
def key_authenticity(system: System, ctx: Context) -> Iterator[Finding]:
    """Check every client's signature under the key that somebody outside the transcript vouches for.

    A server that hands out keys of its own reads every mask. Fails on `bad-signature` and `unknown-identity`, and on a
    protocol that signs nothing; inconclusive where nobody vouches, on transcripts that are not authentic or end early,
    and when a planted one of either goes unnoticed (`control-failed`). Passes else.
    """
    yield ask_transcripts(_VOUCHED, system, ctx)


@check(
    "secagg.model-consistency",
    "All clients trained on the same model",
    needs=(TRANSCRIPTS,),
    controls=(CONFIDENTIALITY, *TESTED),
    kinds=("secagg",),
    strength=Strength.EXACT,
    severity=Severity.HIGH,
)
def model_consistency(system: System, ctx: Context) -> Iterator[Finding]:
    """Compare the digests of the model that clients report with each other and with the header's.

    A model of its own makes one client's update stand out in the sum (Pasquini et al. 2021, arXiv:2111.07380). Fails on
    `model-mismatch`; inconclusive where no digest is recorded, on transcripts that are not authentic or end early, and
    when a planted other model goes unnoticed (`control-failed`). Passes else.
    """
    yield ask_transcripts(_ONE_MODEL, system, ctx)
