"""When a signature counts: every combination of stamp, window and revocation, against the rule in plain words."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

from reports.dsse import Envelope, Signature, sign
from reports.errors import VerificationError
from reports.signing_time import dated, find_signatures
from reports.timestamp_authority import parse_authority
from reports.trust import Trust, TrustedKey
from reports.verify import verify
from tests.reports.authority import TSA, StampingAuthority
from tests.reports.conformance.timestamp_cases import stamp
from tests.reports.conformance.world import AUDITOR, FINISHED, NOW, PROVIDER, STRANGER, World, sound_world

HALF, HOUR = timedelta(minutes=30), timedelta(hours=1)
UNLISTED = StampingAuthority("Unlisted", 13, serial=8)
LISTED = (parse_authority(TSA.pem, "tsa.pem"),)
STAMPS = {
    "none": None,
    "early": FINISHED - HOUR,
    "within": FINISHED + HOUR,
    "to come": NOW + HOUR,
    "unlisted": FINISHED + HOUR,
}
STARTS = (None, FINISHED + HALF, FINISHED + HOUR + HALF)
ENDS = (None, FINISHED + HALF)
REVOCATIONS = ((None, None), *product((FINISHED + HALF, FINISHED + HOUR + HALF), ("retired", "compromised")))


def expected(
    stamp: str,
    start: datetime | None,
    end: datetime | None,
    revoked: tuple[datetime | None, str | None],
    required: bool,
) -> str:
    """The code that answers, by the words of the specification; empty for none."""
    if stamp == "early":
        return "time.timestamp"
    vouched = STAMPS["within"] if stamp == "within" else None
    if required and vouched is None:
        return "time.timestamp"
    signed_at = vouched or FINISHED
    in_window = (start is None or start <= signed_at) and (end is None or signed_at <= end)
    moment, reason = revoked
    if reason == "retired":
        in_time = moment is not None and signed_at < moment
    elif reason == "compromised":
        in_time = moment is not None and vouched is not None and vouched < moment
    else:
        in_time = True
    return "" if in_window and in_time else "signature.threshold"


@pytest.fixture(scope="module", params=STAMPS)
def stamped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, World]:
    """A sound world in which the auditor's signature bears that stamp."""
    name: str = request.param
    world = sound_world(tmp_path_factory.mktemp("world") / "world")
    moment = STAMPS[name]
    if moment is not None:
        authority = UNLISTED if name == "unlisted" else TSA
        stamp(world, AUDITOR, lambda signature: authority.token(signature, moment))
    return name, world


def answer(bundle: Path, trust: Trust) -> str:
    try:
        verify(bundle, trust, [], NOW, signature_only=True)
    except VerificationError as error:
        return error.code
    return ""


def test_every_combination_is_answered_as_the_rule_says(stamped: tuple[str, World]) -> None:
    name, world = stamped
    answers = set()
    for start, end, revoked, required in product(STARTS, ENDS, REVOCATIONS, (False, True)):
        key = TrustedKey("A", "auditor", AUDITOR.public, start, end, *revoked)
        trust = Trust((key,), {"auditor": 1}, require_timestamp=required, authorities=LISTED)
        found = answer(world.bundle, trust)
        assert found == expected(name, start, end, revoked, required), (start, end, revoked, required)
        answers.add(found)
    assert "" in answers or name == "early"  # the control: a combination that counts


def found(*signatures: Signature) -> Iterator[tuple[str, datetime | None]]:
    trust = Trust(
        (TrustedKey("A", "auditor", AUDITOR.public), TrustedKey("P", "provider", PROVIDER.public)),
        {"auditor": 1},
        authorities=LISTED,
    )
    known = find_signatures(Envelope("application/vnd.in-toto+json", b"ward", signatures), trust)
    yield f"{known.strangers} strangers", None
    for one in dated(known.signed, trust, FINISHED, NOW):
        yield one.trusted.name, one.stamped_at


def test_of_several_stamps_by_one_key_the_earliest_counts_and_strangers_are_counted_apart() -> None:
    own, other, stranger = (sign(b"ward", key) for key in (AUDITOR, PROVIDER, STRANGER))
    late, early = (Signature(own.keyid, own.sig, TSA.token(own.sig, FINISHED + moment)) for moment in (HOUR, HALF))
    assert list(found(late, stranger, own, early)) == [("1 strangers", None), ("A", FINISHED + HALF)]
    assert list(found(other, late, stranger, stranger)) == [
        ("2 strangers", None), ("A", FINISHED + HOUR), ("P", None)
    ]  # fmt: skip


def test_a_stamp_on_another_s_signature_helps_nobody() -> None:
    own, other = sign(b"ward", AUDITOR), sign(b"ward", PROVIDER)
    lent = Signature(own.keyid, own.sig, TSA.token(other.sig, FINISHED + HOUR))
    assert list(found(lent, other)) == [("0 strangers", None), ("A", None), ("P", None)]
