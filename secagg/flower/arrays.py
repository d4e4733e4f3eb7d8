"""The arrays of a Flower model as one vector, and back.

What is averaged is the *update*, trained model minus the model that was sent: it is small, so one clipping range serves
every layer, and the mean of the models is the model sent plus the mean of the updates.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from secagg.wire import canonical

if TYPE_CHECKING:
    from flwr.app import ArrayRecord, RecordDict

NUMBERS = "fiu"
"""Kinds of dtype that can be averaged: real, signed and unsigned."""


class UnsuitableArrays(ValueError):  # noqa: N818  (what they are)
    """Arrays that cannot be summed under a mask; the text names the array and never a value."""


@dataclass(frozen=True, eq=False)
class Model:
    """The model that goes out in a round: names, shapes and dtypes, and where an update starts from."""

    name: str
    """Under which the record stands in the message."""
    arrays: dict[str, NDArray[Any]]
    """By name, in the record's order."""

    @classmethod
    def sent_in(cls, content: "RecordDict") -> "Model":
        """Return the one model of a message.

        Raises:
            UnsuitableArrays: there is none, there are several, or an array holds no numbers.
        """
        name, record = only_record(content)
        arrays = {key: array.numpy() for key, array in record.items()}
        for key, array in arrays.items():
            if array.dtype.kind not in NUMBERS:
                raise UnsuitableArrays(f"array {key!r} has dtype {array.dtype}; only numbers can be averaged")
        if not sum(array.size for array in arrays.values()):
            raise UnsuitableArrays("the model has no element")
        return cls(name, arrays)

    @property
    def length(self) -> int:
        """Elements of the whole model."""
        return sum(array.size for array in self.arrays.values())

    def digest(self) -> str:
        """Return the hexadecimal SHA-256 over name, dtype, shape and little-endian bytes of every array, by name."""
        total = sha256()
        for key in sorted(self.arrays):
            array = self.arrays[key]
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            total.update(canonical([sha256(key.encode()).hexdigest(), little.dtype.str, list(array.shape)]))
            total.update(np.ascontiguousarray(little).tobytes())
        return total.hexdigest()

    def update_to(self, trained: "ArrayRecord") -> NDArray[np.float64]:
        """Return trained minus sent, all arrays in order of their names, shape (length,).

        Raises:
            UnsuitableArrays: names or shapes are not those that were sent.
        """
        if set(trained) != set(self.arrays):
            odd = sorted(set(trained) ^ set(self.arrays))[0]
            raise UnsuitableArrays(f"array {odd!r} is {'not in the model' if odd in trained else 'missing'}")
        update = np.empty(self.length)
        for key, part in self._parts(update):
            sent, after = self.arrays[key], trained[key].numpy()
            if after.shape != sent.shape or after.dtype.kind not in NUMBERS:
                told = f"{after.dtype} of shape {after.shape} where {sent.dtype} of {sent.shape} belongs"
                raise UnsuitableArrays(f"array {key!r} is {told}")
            np.subtract(after.ravel(), sent.ravel(), out=part, dtype=np.float64)
        return update

    def moved_by(self, update: NDArray[np.float64]) -> "ArrayRecord":
        """Return the model plus an update of shape (length,): same names, order, shapes and dtypes.

        Integers (counters) are rounded to the nearest.
        """
        from flwr.app import Array, ArrayRecord

        moved: dict[str, NDArray[Any]] = {}
        for key, part in self._parts(update):
            sent = self.arrays[key]
            after = sent.astype(np.float64) + part.reshape(sent.shape)
            moved[key] = (after if sent.dtype.kind == "f" else np.rint(after)).astype(sent.dtype)
        return ArrayRecord({key: Array(np.asarray(moved[key])) for key in self.arrays})

    def _parts(self, vector: NDArray[np.float64]) -> "list[tuple[str, NDArray[np.float64]]]":
        """Return each array's name and its part of the vector, a view."""
        names = sorted(self.arrays)
        ends = np.cumsum([self.arrays[key].size for key in names])
        return [(key, vector[end - self.arrays[key].size : end]) for key, end in zip(names, ends, strict=True)]


def only_record(content: "RecordDict") -> "tuple[str, ArrayRecord]":
    """Return the one ArrayRecord and its name, or refuse with `UnsuitableArrays`."""
    records = list(content.array_records.items())
    if len(records) != 1:
        raise UnsuitableArrays(f"{len(records)} array records where one model belongs")
    return records[0]
