"""A model as one vector and back; its digest; and arrays that no mean can be taken of."""

from typing import Any

import numpy as np
import pytest

from secagg.flower.arrays import Model, UnsuitableArrays

pytestmark = pytest.mark.flower


def record(**arrays: Any) -> Any:
    from flwr.app import Array, ArrayRecord

    return ArrayRecord({name: Array(np.asarray(one)) for name, one in arrays.items()})


def model(**arrays: Any) -> Model:
    from flwr.app import RecordDict

    return Model.sent_in(RecordDict({"arrays": record(**arrays)}))


SENT = {
    "b": np.float32([[1, 2], [3, 4]]),
    "a": np.float64([0.5]),
    "n": np.int64(7),
    "u": np.uint8([250, 3]),
    "h": np.float16([2]),
}


def test_the_model_moved_by_an_update_is_the_trained_model() -> None:
    after = {name: (one + np.asarray(1, one.dtype)).astype(one.dtype) for name, one in SENT.items()}
    update = model(**SENT).update_to(record(**dict(reversed(after.items()))))
    assert (update.dtype, update.shape) == (np.float64, (9,))
    assert (update == 1).all()
    moved = model(**SENT).moved_by(update)
    assert list(moved) == list(SENT)
    for name, expected in after.items():
        np.testing.assert_array_equal(moved[name].numpy(), expected, strict=True)


def test_unsigned_numbers_that_shrink_do_not_wrap() -> None:
    update = model(u=np.uint8([5])).update_to(record(u=np.uint8([3])))
    assert update.tolist() == [-2.0]


def test_counters_are_rounded_to_the_nearest() -> None:
    moved = model(n=np.int64([10, 10])).moved_by(np.array([2.6, -2.6]))
    assert moved["n"].numpy().tolist() == [13, 7]


def test_the_digest_is_of_names_shapes_types_and_values_and_of_nothing_else() -> None:
    digest = model(**SENT).digest()
    assert model(**dict(reversed(SENT.items()))).digest() == digest
    assert model(**SENT | {"b": SENT["b"].astype(">f4")}).digest() == digest
    assert model(**SENT | {"b": np.asfortranarray(SENT["b"])}).digest() == digest
    others = [
        {"b": SENT["b"].reshape(4)},
        {"b": SENT["b"].astype(np.float64)},
        {"b": SENT["b"] + np.float32(1e-6)},
        {"b": SENT["b"].T},
        {"c": np.float32([1])},
    ]
    assert len({digest, *(model(**SENT | other).digest() for other in others)}) == 6


@pytest.mark.parametrize(
    ("trained", "told"),
    [
        ({"w": np.zeros(3), "x": np.zeros(1)}, "'x' is not in the model"),
        ({}, "'w' is missing"),
        ({"w": np.zeros((3, 1))}, "shape"),
        ({"w": np.array(["a", "b", "c"])}, "belongs"),
    ],
)
def test_another_model_than_was_sent_is_refused(trained: dict[str, Any], told: str) -> None:
    with pytest.raises(UnsuitableArrays, match=told):
        model(w=np.zeros(3)).update_to(record(**trained))


def test_an_empty_model_is_refused() -> None:
    with pytest.raises(UnsuitableArrays, match="no element"):
        model(w=np.zeros((0, 3)))
