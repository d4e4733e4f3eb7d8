"""The derived seed: its definition in one line, and what it must depend on."""

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from reports.seed import derived_seed

DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(DIGESTS, st.none() | DIGESTS, st.none() | st.text("abc-123", max_size=9))
def test_it_is_the_first_13_hexadecimal_digits_of_the_digest(
    system: str, policy: str | None, nonce: str | None
) -> None:
    listed = json.dumps([system, policy, nonce], separators=(",", ":")).encode()
    assert derived_seed(system, policy, nonce) == int(hashlib.sha256(listed).hexdigest()[:13], 16) < 2**52


def test_each_of_the_three_changes_it() -> None:
    seeds = {derived_seed(s, p, n) for s in ("a" * 64, "b" * 64) for p in (None, "c" * 64) for n in (None, "", "x")}
    assert len(seeds) == 12
