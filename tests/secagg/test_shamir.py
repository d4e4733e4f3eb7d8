"""Secret sharing against big integers, every subset of holders, and every polynomial over a tiny field."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secagg.keys import Entropy
from secagg.shamir import (
    FIELD,
    combine,
    combine_elements,
    combine_many,
    decode_share,
    encode_share,
    lagrange_row,
    split,
    split_elements,
)

CASE = json.loads((Path(__file__).parents[1] / "vectors" / "secagg" / "vectors.json").read_bytes())["shamir"]
SECRET = bytes.fromhex(CASE["secret"])


def given_words(words: list[int]) -> Entropy:
    """Entropy that is not random: the words, 32 bits each, in their order."""
    remaining = bytearray(np.array(words, "<u4").tobytes())

    def entropy(size: int) -> bytes:
        taken = bytes(remaining[:size])
        del remaining[:size]
        return taken

    return entropy


def test_shares_are_those_of_the_format() -> None:
    coefficients = list(itertools.chain(*CASE["coefficients_of_x1_and_x2"]))
    shares = split(SECRET, CASE["threshold"], 5, given_words(coefficients))
    assert shares.tolist() == CASE["shares_at_1_to_5"]
    assert encode_share(shares[0]).hex() == CASE["encoded_share_at_1"]
    assert decode_share(bytes.fromhex(CASE["encoded_share_at_1"])).tolist() == CASE["shares_at_1_to_5"][0]


@given(
    secret=st.binary(min_size=2, max_size=8).filter(lambda secret: len(secret) % 2 == 0),
    threshold=st.integers(1, 30),
    spare=st.integers(0, 20),
    data=st.data(),
)
def test_shares_are_the_polynomials_values_in_big_integers(
    secret: bytes, threshold: int, spare: int, data: st.DataObject
) -> None:
    words = [int.from_bytes(secret[at : at + 2], "little") for at in range(0, len(secret), 2)]
    drawn = [
        [data.draw(st.sampled_from([0, 1, 65535, 65536, 4711])) for _ in words] for _ in range(threshold - 1)
    ]  # rows of coefficients: x, x^2, ..
    shares = split(secret, threshold, threshold + spare, given_words(list(itertools.chain(*drawn))))
    for x in range(1, threshold + spare + 1):
        expected = [
            sum(row[place] * x**power for power, row in enumerate([words, *drawn])) % FIELD
            for place in range(len(words))
        ]
        assert shares[x - 1].tolist() == expected


def test_every_subset_of_as_many_holders_as_the_threshold_reconstructs() -> None:
    shares = split(SECRET, 3, 7)
    for holders in itertools.permutations(range(7), 3):
        assert combine([at + 1 for at in holders], shares[list(holders)]) == SECRET


def shares_over(field: int, threshold: int, holders: int, secret: int) -> Iterator[tuple[int, ...]]:
    """Deal one word with every polynomial there is, by the code that deals in earnest."""
    for polynomial in itertools.product(range(field), repeat=threshold - 1):
        shares = split_elements(np.array([secret]), threshold, holders, given_words(list(polynomial)), field)
        yield tuple(shares[:, 0].tolist())


@pytest.mark.parametrize(("field", "threshold", "holders"), [(5, 2, 4), (5, 3, 4), (7, 3, 5)])
def test_fewer_shares_than_the_threshold_say_nothing(field: int, threshold: int, holders: int) -> None:
    dealt = {secret: list(shares_over(field, threshold, holders, secret)) for secret in range(field)}
    for seen in itertools.combinations(range(holders), threshold - 1):
        views = [Counter(tuple(row[at] for at in seen) for row in rows) for rows in dealt.values()]
        assert all(view == views[0] for view in views)  # the same distribution whatever the secret is
        assert set(views[0].values()) == {1}  # and that is the uniform one
    for seen in itertools.combinations(range(holders), threshold):  # negative control: one share more says everything
        views = [Counter(tuple(row[at] for at in seen) for row in rows) for rows in dealt.values()]
        assert all(not (one.keys() & other.keys()) for one, other in itertools.combinations(views, 2))


@pytest.mark.parametrize("field", [5, 7, 257])
def test_every_value_of_a_small_field_comes_back(field: int) -> None:
    everything = np.arange(field)
    shares = split_elements(everything, 3, 4, field=field, entropy=np.random.default_rng(1).bytes)
    for holders in itertools.combinations(range(4), 3):
        again = combine_elements([at + 1 for at in holders], shares[list(holders)][np.newaxis], field)
        assert again[0].tolist() == everything.tolist()


def test_a_threshold_of_one_hands_everybody_the_secret() -> None:
    shares = split(SECRET, 1, 65_536)
    assert shares.shape == (65_536, 16)
    assert (shares == np.frombuffer(SECRET, "<u2")).all()
    assert combine([65_536], shares[-1:]) == SECRET


def test_as_many_holders_as_the_field_allows() -> None:
    shares = split(SECRET, 5, 65_536)
    holders = [1, 2, 32_768, 65_535, 65_536]
    assert combine(holders, shares[[x - 1 for x in holders]]) == SECRET


def test_long_sums_of_the_largest_products_are_exact() -> None:
    shares = split(b"\xff\xff", 8192, 8192, given_words([65_536] * 8191))
    for x in (2, 4096, 8192):
        highest = sum(65_536 * pow(x, power, FIELD) for power in range(1, 8192))
        assert shares[x - 1, 0] == (65_535 + highest) % FIELD


@settings(max_examples=30)
@given(threshold=st.integers(1, 40), spare=st.integers(0, 10), owners=st.integers(1, 4), data=st.data())
def test_owners_with_the_same_holders_are_solved_together(
    threshold: int, spare: int, owners: int, data: st.DataObject
) -> None:
    secrets = [bytes([owner]) * 32 for owner in range(owners)]
    holders = data.draw(st.permutations(range(1, threshold + spare + 1)))[:threshold]
    shares = np.stack([split(secret, threshold, threshold + spare)[[x - 1 for x in holders]] for secret in secrets])
    assert combine_many(holders, shares) == secrets


def test_two_secrets_end_to_end_are_split_in_one_call() -> None:
    shares = split(SECRET + bytes(32), 2, 3)
    assert combine([1, 3], shares[[0, 2], :16]) == SECRET
    assert combine([1, 3], shares[[0, 2], 16:]) == bytes(32)


def test_words_that_are_no_16_bits_spoil_their_owner_alone() -> None:
    shares = np.stack([split(SECRET, 2, 2) for _ in range(3)])
    shares[1] = 65_536  # a constant polynomial of -1
    shares[2, 0, 0] = FIELD  # no element at all
    assert combine_many([1, 2], shares) == [SECRET, None, None]
    with pytest.raises(ValueError, match="no secret"):
        combine([1, 2], shares[1])


def test_a_wrong_share_gives_another_secret() -> None:  # why shares come with digests
    shares = split(SECRET, 3, 3)
    shares[0, 0] = (shares[0, 0] + 1) % FIELD
    [secret] = combine_many([1, 2, 3], shares[np.newaxis])
    assert secret != SECRET


def test_lagrange_factors_are_those_of_the_definition() -> None:
    xs = (2, 3, 5, 65_536)
    for at, x in enumerate(xs):
        expected = 1
        for other in xs[:at] + xs[at + 1 :]:
            expected = expected * other * pow(other - x, -1, FIELD) % FIELD
        assert lagrange_row(xs)[at] == expected


def test_coefficients_are_drawn_by_rejection() -> None:
    words = [2**32 - 1, 7, 2**32 - 1, 9]  # 2^32 - 1 is a multiple of 65,537: kept, it would make zero likelier
    assert split(b"\x05\x00\x06\x00", 2, 1 + 1, given_words(words))[0].tolist() == [5 + 7, 6 + 9]


@pytest.mark.parametrize(
    ("secret", "threshold", "shares"),
    [(b"odd", 1, 1), (b"even", 0, 1), (b"even", 3, 2), (b"even", 1, 65_537), (b"even", -1, 4)],
)
def test_impossible_dealings_are_refused(secret: bytes, threshold: int, shares: int) -> None:
    with pytest.raises(ValueError, match=r"threshold|even number"):
        split(secret, threshold, shares)


@pytest.mark.parametrize("xs", [(1, 1), (0, 1), (1, 65_537), (1,), ()])
def test_impossible_holders_are_refused(xs: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="points"):
        combine(xs, split(SECRET, 2, 2))


def test_a_field_in_which_float64_is_not_exact_is_refused() -> None:
    with pytest.raises(ValueError, match="not exact"):
        split_elements(np.array([1]), 5, 5, bytes, field=2**31 - 1)


@pytest.mark.parametrize("data", [bytes(63), bytes(65), b"\x01\x00\x01\x00" + bytes(60)])
def test_a_share_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="share"):
        decode_share(data)
