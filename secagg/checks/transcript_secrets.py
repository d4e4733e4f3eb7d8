"""Secrets of a round: that nobody's two were disclosed, and that none is used twice."""

from collections.abc import Iterator

from reports.check import Context, check
from reports.model import Finding, Severity, Strength, System
from secagg.checks.active import CONFIDENTIALITY, TESTED
from secagg.checks.transcript_answer import ask_transcripts
from secagg.checks.transcript_codes import TRANSCRIPTS
from secagg.checks.transcript_question import Question

_ONE_SECRET = Question(
    sound="In {rounds} one kind of secret was disclosed of each client, and no share that was not due.",
    limitations=("A client can be asked once more where nothing is recorded; only its own refusal prevents that.",),
)
_FRESH = Question(
    sound="In {rounds} no key, commitment or recovered seed stands twice.",
    limitations=(
        "Keys are compared among the declared transcripts alone, and seeds where enough shares were disclosed.",
    ),
    least=2,
)


@check(
    "secagg.double-reveal",
    "Nobody's two secrets were both revealed",
    needs=(TRANSCRIPTS,),
    controls=(CONFIDENTIALITY, *TESTED),
    kinds=("secagg",),
    strength=Strength.EXACT,
    severity=Severity.CRITICAL,
)
def double_reveal(system: System, ctx: Context) -> Iterator[Finding]:
    """Ask of each client whether shares of both its mask key and its self-mask seed were disclosed.

    Both together open its vector (Bonawitz et al. 2017, eprint 2017/281, section on active adversaries). Fails on
    `double-reveal` and `unrequested-share`; inconclusive on transcripts that are not authentic or end early, and when a
    planted one of either goes unnoticed (`control-failed`). Passes else.
    """
    yield ask_transcripts(_ONE_SECRET, system, ctx)


@check(
    "secagg.key-reuse",
    "No key, seed or commitment is used twice",
    needs=(TRANSCRIPTS,),
    controls=(CONFIDENTIALITY, *TESTED),
    kinds=("secagg",),
    strength=Strength.EXACT,
    severity=Severity.HIGH,
)
def key_reuse(system: System, ctx: Context) -> Iterator[Finding]:
    """Compare keys, commitments and recovered seeds within and between the declared rounds.

    A mask that is used twice cancels in the difference of two masked vectors. Fails on `key-reuse` and `duplicate-key`,
    in one transcript as well. Two are needed for a pass: skipped where one alone shows nothing; inconclusive on
    transcripts that are not authentic or end early, and when a planted reuse goes unnoticed (`control-failed`).
    """
    yield ask_transcripts(_FRESH, system, ctx)
