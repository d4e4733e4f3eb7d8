"""`fedaudit secagg verify-transcript`: does the sum follow from the recorded messages, and whose are they?"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.answer import Answer, command
from reports.errors import FileError

if TYPE_CHECKING:
    from secagg.verification import Verification, VerifiedRound

PATH = click.Path(path_type=Path)
SERVERS = ["honest-but-curious", "malicious"]
_SHOWN = 20
"""Violations that are printed for people; `--json` lists them all."""


@command("verify-transcript")
@click.argument("paths", nargs=-1, required=True, type=PATH, metavar="PATH...")
@click.option("--identities", type=PATH, help="Vouched keys, {id: base64}; else identities.json beside a transcript.")
@click.option("--server-trust", type=click.Choice(SERVERS), help="Judge by this instead of the header's word.")
def verify_transcript(paths: tuple[Path, ...], identities: Path | None, server_trust: str | None) -> Answer:
    """Verify recorded rounds: PATH is the folder of one, or its file of lines; several are compared as well.

    Exit 4 if a record is not authentic, 1 on a violation, 3 if a record is incomplete. Weak parameters and small
    cohorts are told, not judged: that is for the checks of `fedaudit run`.
    """
    from secagg.verify import verify_transcripts

    vouched = None if identities is None else _identities(identities)
    verification = verify_transcripts(paths, vouched, server_trust=server_trust)
    exit_code, code, message = _verdict(verification)
    return Answer(
        text="\n".join(_text(verification, message)),
        fields={"schema": "fedaudit.secagg.verify-transcript/1", **verification.as_fields()},
        exit_code=exit_code,
        code=code,
        message=message if exit_code else "",
        hint=_hint(verification),
    )


def _identities(path: Path) -> dict[str, bytes]:
    from secagg.transcript import read_identities
    from secagg.wire import MalformedRecord

    try:
        return read_identities(path)
    except MalformedRecord as error:
        mend = 'It is one JSON object, {"client": "base64 of its Ed25519 public key"}.'
        raise FileError("secagg.identities", f"cannot use the identities: {error}", mend) from error


def _verdict(found: "Verification") -> tuple[int, str, str]:
    """Return exit code, machine word and sentence."""
    count = len(found.violations)
    listed = f"{count} violation{'' if count == 1 else 's'}"
    if found.authenticity == "broken":
        return 4, "secagg.not_authentic", f"not authentic: {listed}"
    if found.violations:
        return 1, "secagg.violated", f"the protocol was violated: {listed}"
    if not found.complete:
        return 3, "secagg.incomplete", "incomplete: the record ends early, or vectors are withheld"
    return 0, "ok", "the sum follows from the recorded messages"


def _hint(found: "Verification") -> str:
    from secagg.mends import MENDS

    return MENDS[found.violations[0].code] if found.violations else ""


def _text(found: "Verification", message: str) -> Iterator[str]:
    from secagg.mends import MENDS

    colour = {"pass": "green", "fail": "red"}.get(found.status, "yellow")
    yield f"{click.style(found.status.upper(), fg=colour, bold=True)}: {message}"
    for one in found.transcripts:
        yield from _round(one)
    together = found.cross_round
    for violation in together.violations[:_SHOWN]:
        yield f"  over rounds: {click.style(violation.code, bold=True)}: {violation.detail}"
    if together.isolated_clients:
        yield f"  over rounds: the sums set apart {', '.join(together.isolated_clients[:_SHOWN])}"
    if together.smallest_difference is not None:
        yield f"  over rounds: two cohorts differ in {together.smallest_difference} clients"
    for code in dict.fromkeys(violation.code for violation in found.violations):
        yield f"  to change    {code}: {MENDS[code]}"


def _round(one: "VerifiedRound") -> Iterator[str]:
    from reports.wording import visible
    from secagg.params import in_words

    run = visible(" ".join(one.run.split()))  # nothing from the file forges a line
    yield f"{one.path}: round {one.round} of {run or 'an unnamed run'}, session {one.session[:12]}"
    yield f"  authenticity {_authorship(one)}"
    yield f"  survivors    {len(one.survivors)} of {one.clients}; the aggregate is {one.aggregate}"
    if not one.complete:
        lacking = f"; vectors withheld: {len(one.withheld)}" if one.withheld else ""
        yield f"  INCOMPLETE   the last complete record is {one.last or 'none'}{lacking}"
    if one.parameters is not None:
        levels = f"privacy {in_words(one.parameters.sigma_bits)}, correctness {in_words(one.parameters.eta_bits)}"
        weak = "" if one.parameters.sufficient() else click.style(" (NOT sufficient)", fg="yellow")
        chosen = f"degree {one.degree}, threshold {one.threshold}, {one.server_trust} server"
        yield f"  parameters   {chosen}: {levels}{weak}"
    for violation in one.violations[:_SHOWN]:
        place = f" in {violation.phase}" if violation.phase else ""
        yield f"  {click.style(violation.code, fg='red', bold=True)}{place}: {violation.detail}"
    if len(one.violations) > _SHOWN:
        yield f"  and {len(one.violations) - _SHOWN} more; --json lists them"


def _authorship(one: "VerifiedRound") -> str:
    if one.authenticity == "broken":
        return click.style("BROKEN", fg="red") + ": this is not the record that was written, or not by these clients"
    if one.authenticity == "signed":
        whose = "the identities given" if one.identities == "given" else "identities.json beside it"
        return f"signed: every client's record verifies under {whose}"
    if one.header is not None and one.header.signatures and not one.identities_vouched:
        return "unsigned: the signatures verify, but nobody outside the header vouches for the keys"
    return "unsigned: the chain shows that nothing changed since it was written, not who wrote it"
