"""The header that follows from a configuration, for a cohort."""

from typing import Any

import pytest

from secagg.flower.config import SecAggConfig
from secagg.limits import ParameterError
from secagg.params import select_parameters
from secagg.policy import ClientPolicy
from secagg.proposal import Proposal
from secagg.quantize import Quantization

IDS = [str(number) for number in range(100, 120)]


def test_the_header_is_one_that_clients_accept_by_default() -> None:
    header = SecAggConfig().header("run", 3, IDS[::-1], 50, "0" * 64)
    ClientPolicy().review(Proposal(header), IDS[0])
    chosen = select_parameters(20, 0.05, 0.05)
    assert (header.degree, header.threshold) == (chosen.degree, chosen.threshold)
    assert (header.round, header.length, header.beacon_source) == (3, 50, "server")
    assert SecAggConfig().header("run", 3, IDS, 50, "0" * 64).beacon != header.beacon  # drawn anew each round


def test_a_weight_takes_one_element_more() -> None:
    config = SecAggConfig(modulus_bits=64, quantization=Quantization(1.0, 2**20, "integer", 9))
    assert config.header("run", 1, IDS, 50, "0" * 64).length == 51


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"server_trust": "friendly"}, "server_trust"),
        ({"server_trust": "malicious"}, "identities"),
        ({"degree": 4}, "threshold"),
        ({"threshold": 4}, "threshold"),
        ({"modulus_bits": 16}, "modulus_bits"),
    ],
)
def test_what_cannot_be_is_told_by_name(options: dict[str, Any], name: str) -> None:
    with pytest.raises(ParameterError) as caught:
        SecAggConfig(**options)
    assert caught.value.name == name


def test_the_largest_levels_that_fit_are_told() -> None:
    with pytest.raises(ParameterError, match="at most 214748364 with 20 clients") as caught:
        SecAggConfig(quantization=Quantization(1.0, 2**30)).header("run", 1, IDS, 5, "0" * 64)
    assert "64 bits" in str(caught.value)
    SecAggConfig(quantization=Quantization(1.0, 214748364)).header("run", 1, IDS, 5, "0" * 64)
    SecAggConfig(quantization=Quantization(1.0, 2**30), modulus_bits=64).header("run", 1, IDS, 5, "0" * 64)
