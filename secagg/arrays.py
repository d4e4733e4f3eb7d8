"""Updates and weights from .npy files: mapped, not read, never unpickled, and refused by row and index."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.arrays import refuse_objects
from reports.errors import FileError
from reports.formats import RefusedFormat


def read_updates(path: Path, clients: int, length: int) -> NDArray[np.floating[Any]]:
    """Return updates of shape (clients, length), float32 or float64, mapped from a .npy file.

    Raises:
        FileError: no such file, another shape or type, or a number that is not finite: its row and first bad index.
    """
    array = _mapped(path)
    if array.dtype not in (np.float32, np.float64):
        raise _unusable(path, f"it holds {array.dtype}; allowed is float32 (or float64)")
    if array.shape != (clients, length):
        raise _unusable(path, f"it has shape {array.shape}; allowed is one row a client, {(clients, length)}")
    for row in range(clients):
        finite = np.isfinite(array[row])
        if not finite.all():
            index = int(np.flatnonzero(~finite)[0])
            raise _unusable(path, f"row {row}, element {index} is {array[row, index]}; allowed is a finite number")
    return array


def read_weights(path: Path, clients: int, max_weight: int | None) -> tuple[int, ...]:
    """Return one whole weight a client, from 1 to `max_weight` (None: without a limit), from a .npy file.

    Raises:
        FileError: no such file, another shape or type, or a weight out of range: its row.
    """
    array = _mapped(path)
    if array.dtype.kind not in "iuf":
        raise _unusable(path, f"it holds {array.dtype}; allowed are whole numbers")
    if array.shape != (clients,):
        raise _unusable(path, f"it has shape {array.shape}; allowed is one weight a client, {(clients,)}")
    for row, weight in enumerate(array.tolist()):
        if not 1 <= weight <= (2**53 - 1 if max_weight is None else max_weight) or weight != int(weight):
            most = "" if max_weight is None else f" to {max_weight}"
            raise _unusable(path, f"row {row} is {weight}; allowed is a whole number from 1{most}")
    return tuple(int(weight) for weight in array.tolist())


def _mapped(path: Path) -> NDArray[Any]:
    """Return the array of a .npy file as it lies on the disk; a header that asks for a pickle is refused."""
    if not path.is_file():
        raise FileError("secagg.no_array", f"{path}: there is no such file", "Write one with numpy.save.")
    try:
        refuse_objects(path)  # reads the header strictly, before NumPy's lenient parser sees it
        return np.lib.format.open_memmap(path, mode="r")
    except RefusedFormat as error:
        raise _unusable(path, "it holds Python objects, which are never unpickled; allowed are numbers") from error
    except (ValueError, OSError) as error:  # no array at all, or a shorter file than its header says
        reason = " ".join(str(error).split())[:200]
        raise _unusable(path, f"it is no .npy file of plain numbers ({reason})") from error


def _unusable(path: Path, problem: str) -> FileError:
    return FileError("secagg.array", f"{path}: {problem}", "Write it with numpy.save.")
