"""A trial's parameters are told apart by content, and only by content."""

import copy
import enum
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from audit.store_parameters import ParameterDigests


class Kind(enum.Enum):
    ONE = 1
    TWO = 2


@dataclass(frozen=True, eq=False)
class Question:
    model: torch.nn.Module
    records: torch.Tensor
    scores: Any
    kind: Kind
    limit: float | None = None


def question(seed: int = 0, **more: Any) -> Question:
    generator = torch.Generator().manual_seed(seed)
    model = torch.nn.Linear(3, 2)
    with torch.no_grad():
        model.weight.copy_(torch.rand(2, 3, generator=generator))
        model.bias.zero_()
    given = {"records": torch.arange(6.0), "scores": np.arange(4.0), "kind": Kind.ONE}
    return Question(model, **{**given, **more})


def named(value: object) -> object:
    return value


OTHERS: list[object] = [
    None, 0, 0.0, -0.0, False, "", b"", "0", (), [], {}, (0,), [0], ("a", "bc"), ("ab", "c"), {"a": 1}, {"b": 1},
    Kind.ONE, Kind.TWO, torch.float32, torch.float64, np.float32(0),
    np.float64(0), np.zeros(2), np.zeros((2, 1)), np.zeros(2, np.float32), np.zeros((1, 2)),
    torch.zeros(2), torch.zeros(2, dtype=torch.float64), torch.zeros(1, 2),
    {1}, {2}, named, question,
    functools.partial(named, 1), functools.partial(named, 2), question(), question(1), question(limit=1.0),
    question(records=torch.arange(6.0).flip(0)), question(scores=np.arange(4.0)[::-1]), question(kind=Kind.TWO),
]  # fmt: skip


def test_different_parameters_have_different_digests() -> None:
    digests = [ParameterDigests().digest(value) for value in OTHERS]
    assert len(set(digests)) == len(digests)
    assert len({ParameterDigests().digest(float(x)) for x in ("nan", "inf", "-inf")}) == 3


@pytest.mark.parametrize("value", OTHERS, ids=lambda value: type(value).__name__)
def test_equal_parameters_have_one_digest(value: object) -> None:
    assert ParameterDigests().digest(copy.deepcopy(value)) == ParameterDigests().digest(value)


def test_how_numbers_lie_in_memory_is_no_part_of_them() -> None:
    table = np.arange(6.0).reshape(2, 3)
    assert ParameterDigests().digest(np.asfortranarray(table)) == ParameterDigests().digest(table)
    assert ParameterDigests().digest(torch.from_numpy(table).T.contiguous().T) == ParameterDigests().digest(
        torch.from_numpy(table)
    )


def test_what_trials_share_is_read_once() -> None:
    class Counted(torch.nn.Linear):
        read = 0

        def state_dict(self, *arguments: Any, **more: Any) -> Any:
            Counted.read += 1
            return super().state_dict(*arguments, **more)

    shared, digests = Counted(2, 2), ParameterDigests()
    assert len({digests.digest((shared, place)) for place in range(9)}) == 9
    assert Counted.read == 1


def test_what_holds_itself_is_digested_too() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert ParameterDigests().digest(endless)


def test_bfloat_sparse_and_empty_tensors_are_digested() -> None:
    def given() -> Iterator[torch.Tensor]:
        yield torch.ones(2, dtype=torch.bfloat16)
        yield torch.eye(2).to_sparse()
        yield torch.empty(0, 3)
        yield torch.ones(2, requires_grad=True)

    assert len({ParameterDigests().digest(one) for one in given()}) == 4
