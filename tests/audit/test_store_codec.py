"""What a run keeps of a trial comes back bit for bit; what it cannot keep it says; nothing that it reads runs."""

import contextlib
import enum
import hashlib
import json
import math
import pickle
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from audit.attacks.malicious_clients import Compared
from audit.attacks.matching import Matched
from audit.attacks.text_search import Recovered
from audit.store_codec import INLINE_BYTES, Codec, NotStorableError, UnreadableError
from secagg.outcome import AttackOutcome, Refused
from secagg.remains import Remains
from secagg.survival import Survival
from secagg.wrong_shares import Planted

OUR_OWN = ("audit", "compliance", "reports", "secagg", "unlearning")


class Colour(enum.StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Outcome:
    score: float
    colour: Colour = Colour.RED
    more: "Outcome | None" = None
    derived: int = field(init=False, default_factory=int)

    def __post_init__(self) -> None:
        if self.score == 99:
            raise AssertionError("building ran")


@dataclass
class Changing:
    score: float


class Odd(dict[str, int]):
    pass


def codec(folder: Path, packages: tuple[str, ...] = (*OUR_OWN, __name__.partition(".")[0])) -> Codec:
    def keep(data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        (folder / sha256).with_suffix(".npz").write_bytes(data)
        return sha256

    return Codec(packages, keep, lambda sha256: folder / f"{sha256}.npz")


def there_and_back(value: object, folder: Path = Path("nowhere")) -> Any:
    found = codec(folder)
    return found.decode(found.encode(value))


def same(one: object, other: object) -> bool:
    """The oracle: pickle's bytes say type and bits of everything, -0.0 and NaN included."""
    return pickle.dumps(one) == pickle.dumps(other) and type(one) is type(other)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**100), 2**100)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | st.just(Colour.RED)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.integers() | st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=50)
@given(VALUES)
def test_plain_values_come_back_with_type_and_bits(value: object) -> None:
    back = there_and_back(value)
    assert repr(back) == repr(value)
    assert type(back) is type(value)


@given(st.integers(0, 2**64 - 1))
def test_a_float_comes_back_by_its_bits(bits: int) -> None:
    value = struct.unpack(">d", struct.pack(">Q", bits))[0]
    assert struct.pack(">d", there_and_back([value])[0]) == struct.pack(">d", value)


DTYPES = arrays.boolean_dtypes() | arrays.integer_dtypes() | arrays.floating_dtypes() | arrays.complex_number_dtypes()


@settings(max_examples=40)
@given(arrays.arrays(DTYPES, arrays.array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=4)), st.booleans())
def test_an_array_comes_back_with_bits_format_and_order(value: Any, by_columns: bool) -> None:
    value = np.asarray(value, order="F" if by_columns else "C")
    back = there_and_back(value)
    assert (back.dtype, back.shape, back.tobytes()) == (value.dtype, value.shape, value.tobytes())
    assert back.flags.c_contiguous == value.flags.c_contiguous
    assert back.flags.writeable
    scalar = value.reshape(-1)[:1]
    assert all(same(there_and_back(one), one) for one in scalar)


@pytest.mark.parametrize("name", ["bool", "uint8", "int64", "float16", "bfloat16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_a_tensor_comes_back_with_bits_and_format(name: str, shape: tuple[int, ...]) -> None:
    value = torch.randn(shape, generator=torch.Generator().manual_seed(1)).mul(9).to(getattr(torch, name))
    back = there_and_back(value)
    assert (back.dtype, back.shape) == (value.dtype, value.shape)
    assert torch.equal(back, value)


def test_a_large_array_is_a_file_and_comes_back(tmp_path: Path) -> None:
    small, large = np.arange(INLINE_BYTES // 8), np.arange(INLINE_BYTES // 4).reshape(2, -1).T
    back = there_and_back({"small": small, "large": large, "tensor": torch.from_numpy(large)}, tmp_path)
    assert np.array_equal(back["small"], small) and np.array_equal(back["large"], large)
    assert torch.equal(back["tensor"], torch.from_numpy(large))
    assert len(list(tmp_path.iterdir())) == 2
    assert back["large"].flags.f_contiguous


RESULTS = [
    Outcome(1.5, more=Outcome(math.nan)),
    Recovered(((1, 2), ()), (3,), inside=True, alike=0.25, rank=7),
    Survival("within", "all phases", 1, 5, None, exact=True),
    AttackOutcome("knob", True, (Refused(*("a",) * len(Refused.__dataclass_fields__)),), False, ("x",)),
    Remains(3, 4, {"seed": 0, "key": 2}, 1),
    Planted("seed share", careless=False, reason=None, exact=None, named="a"),
    Compared({}, {}, {}, 0.5),
]


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_the_results_of_our_own_checks_come_back(result: object) -> None:
    back = there_and_back(result)
    assert repr(back) == repr(result)
    assert type(back) is type(result)
    assert list(vars(back)) == list(vars(result))


def test_tensors_in_a_result_come_back() -> None:
    result = Matched(torch.ones(2, 1, 3), torch.tensor([0.5, 0.25]), torch.tensor([[1], [2]]), "factored")
    back = there_and_back(result)
    assert torch.equal(back.records, result.records) and torch.equal(back.labels, result.labels)
    assert back.engine == "factored"


@pytest.mark.parametrize(
    "value",
    [
        Changing(1.0), Odd(), {1}, object(), print, lambda: 0, 2**130, 1j, range(3), Exception("x"), "\ud800",
        np.array([None]), np.zeros(2, [("a", "f8")]), np.ma.masked_array([1]), torch.zeros(1, requires_grad=True),
        torch.nn.Linear(1, 1), torch.zeros(2).to_sparse(), Path("x"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_would_not_come_back_as_it_is_is_not_kept(value: object) -> None:
    assert there_and_back((1,)) == (1,)  # the twin
    with pytest.raises(NotStorableError):
        codec(Path("nowhere")).encode((value,))


def test_a_result_that_holds_itself_is_not_kept() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(NotStorableError, match="deep"):
        codec(Path("nowhere")).encode(endless)


def test_a_class_of_no_named_package_is_not_kept_and_not_built() -> None:
    told = codec(Path("nowhere")).encode(Outcome(1.0))
    strict = codec(Path("nowhere"), OUR_OWN)
    with pytest.raises(NotStorableError):
        strict.encode(Outcome(1.0))
    with pytest.raises(UnreadableError):
        strict.decode(told)


def test_building_runs_no_code_of_the_class() -> None:
    told = codec(Path("nowhere")).encode(Outcome(1.0))
    bits = struct.pack(">d", 1.0).hex().encode()
    assert there_and_back(Outcome(1.0)) == Outcome(1.0)
    back = codec(Path("nowhere")).decode(told.replace(bits, struct.pack(">d", 99.0).hex().encode()))
    assert back.score == 99  # its __post_init__ would have raised


HOSTILE = [
    {"object": "os:_wrap_close", "fields": {}},
    {"object": "subprocess:Popen", "fields": {"args": "true"}},
    {"object": "audit.run:importlib.metadata.Distribution", "fields": {}},
    {"object": "audit.demo_that_is_not_loaded:Tour", "fields": {}},
    {"object": "audit.store_codec:Codec", "fields": {"packages": ["os"]}},
    {"object": "audit.store_codec:_Writer", "fields": {"codec": None}},
    {"object": "audit.store_codec:Codec.decode", "fields": {}},
    {"object": ["audit"], "fields": {}},
    {"enum": "reports.model:Report", "name": "x"},
    {"enum": "reports.model:Status", "name": "__class__"},
    {"array": {"dtype": "|O", "shape": [1], "order": "C", "data": "AAAAAAAAAAA="}},
    {"array": {"dtype": "<f8", "shape": [2**40], "order": "C", "data": ""}},
    {"array": {"dtype": "<f8", "shape": [-1, -1], "order": "C", "data": "AAAAAAAAAAA="}},
    {"array": {"dtype": "<f8", "shape": [1], "order": "C", "data": "AA"}},
    {"array": {"npz": "../../etc/passwd"}},
    {"tensor": "load", "shape": [1], "bits": {}},
    {"tensor": "float32", "shape": [3], "bits": {"dtype": "|u1", "shape": [3], "order": "C", "data": "AAAA"}},
    {"scalar": {"dtype": "<f8", "shape": [], "order": "C", "data": ""}},
    {"float": "zz"}, {"int": "0xzz"}, {"bytes": "?"}, {"dict": [[[], 1]]}, {"tuple": 3}, {}, {"what": 1}, 0.5,
]  # fmt: skip


@pytest.mark.parametrize("told", HOSTILE, ids=lambda told: json.dumps(told)[:40])
def test_what_it_did_not_write_is_told_and_nothing_else_happens(told: object, tmp_path: Path) -> None:
    with pytest.raises(UnreadableError):
        codec(tmp_path).decode(json.dumps([told]).encode())


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_told(data: bytes) -> None:
    with contextlib.suppress(UnreadableError):
        codec(Path("nowhere")).decode(data)
