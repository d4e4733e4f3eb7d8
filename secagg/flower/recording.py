"""One round of Flower's SecAgg+ on its way into a transcript: a Flower message in, a line and its blobs out."""

import hashlib
import io
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from secagg.flower.records import FROM, RECORDS, TO, CaptureHeader, FlowerRecord, MaskedArray
from secagg.messages import unsigned
from secagg.transcript import TranscriptWriter
from secagg.wire import LARGEST_INTEGER, decimal, encode_bytes

if TYPE_CHECKING:
    from flwr.app import Message, RecordDict

CONFIGS = "secaggplus_configs"
"""The config record that Flower's protocol travels in."""
_BY_STAGE: Mapping[str, type[FlowerRecord]] = {kind.STAGE: kind for kind in RECORDS}
_NODES = frozenset(("srcs", "dsts", "nids", "active_nids", "dead_nids"))
_NUMBERS = frozenset(
    ("sample_num", "share_num", "threshold", "target_range", "mod_range", "clipping_range", "max_weight")
)


class RoundRecording:
    """The transcript of one round; begun by the messages of the setup stage, which name the cohort and the ring.

    Raises:
        FileError: the folder holds something already.
    """

    def __init__(self, folder: Path, number: int, messages: "list[Message]", function: str) -> None:
        self._writer = TranscriptWriter(folder)
        self._modulus = int(cast(int, messages[0].content.config_records[CONFIGS]["mod_range"]))
        header = CaptureHeader(
            run=str(messages[0].metadata.run_id),
            round=number,
            clients=tuple(sorted(str(message.metadata.dst_node_id) for message in messages)),
            software=f"flwr {version('flwr')}",
            function=function,
        )
        self._writer.record(unsigned(header))

    def close(self) -> None:
        """Bring the lines to the disk."""
        self._writer.close()

    def record(self, message: "Message", direction: str, stage: str) -> None:
        """Write down one message to a node or from it; an unknown stage is left out."""
        if stage not in _BY_STAGE:
            return
        configs = {key: self._value(key, value) for key, value in message.content.config_records[CONFIGS].items()}
        configs.pop("stage", None)
        if direction == FROM:
            node = str(message.metadata.src_node_id)
            clear = {_ascii(name): _readable(one) for name, one in message.content.items() if name != CONFIGS}
            self._writer.record(unsigned(_BY_STAGE[stage](FROM, node, configs, clear), sender=node))
            return
        if stage == "collect_masked_vectors":
            configs["model_sha256"] = _model_digest(message.content)
        self._writer.record(unsigned(_BY_STAGE[stage](TO, str(message.metadata.dst_node_id), configs)))

    def _value(self, key: str, value: Any) -> Any:
        if key == "masked_params":
            return [self._array(data) for data in value]
        if key in _NODES:
            return [str(node) for node in value]
        if isinstance(value, list) and all(isinstance(one, bytes) for one in value):
            return value
        return value if isinstance(value, bytes) or key in _NUMBERS else _plain(value)

    def _array(self, data: bytes) -> MaskedArray:
        try:
            array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
        except ValueError:
            array = np.frombuffer(data, np.uint8)  # no array: kept as the bytes it is, for the judge to refuse
        if array.dtype.kind in "iu" and array.size and int(array.min()) >= 0 and int(array.max()) < self._modulus:
            array = array.astype("<u4" if self._modulus <= 1 << 32 else "<u8")
        words = array.astype(array.dtype.newbyteorder("<"))
        return MaskedArray(self._writer.blob(words), array.shape, words.dtype.str)


def _model_digest(content: "RecordDict") -> str:
    digest = hashlib.sha256()
    for name, record in sorted(content.array_records.items()):
        for key, array in record.items():
            digest.update(f"{name}|{key}|{array.dtype}|{array.shape}|".encode())
            digest.update(array.data)
    return digest.hexdigest()


def _readable(record: Any) -> dict[str, Any]:
    """Return a record that travels in the clear: numbers and text as they are, of arrays the form alone."""
    from flwr.app import ArrayRecord

    if isinstance(record, ArrayRecord):
        return {_ascii(key): {"shape": list(one.shape), "dtype": one.dtype} for key, one in record.items()}
    return {_ascii(key): _plain(value) for key, value in record.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return encode_bytes(value)
    if isinstance(value, float):
        return decimal(value)
    return str(value) if isinstance(value, int) and abs(value) > LARGEST_INTEGER else value


def _ascii(name: object) -> str:
    return str(name).encode("ascii", "backslashreplace").decode()
