"""The masked updates of a capture: the form that they all share, and the words under the digests."""

from hashlib import sha256

import numpy as np

from secagg.flower.captured import COLLECT, SETUP, CapturedRound
from secagg.flower.records import FlowerRecord, MaskedArray
from secagg.ledger import Ledger
from secagg.source import Source

RING_TYPES = ("<u4", "<u8")


def judge_vectors(captured: CapturedRound, source: Source, ledger: Ledger) -> tuple[str, ...]:
    """Note masked updates of another form than the first's, and words outside the ring.

    Returns:
        The digests whose words are not there, each once.
    """
    replies, settings = captured.heard(COLLECT), captured.said(SETUP)
    modulus = settings[0].values["mod_range"] if settings else 1 << 32
    withheld: dict[str, None] = {}
    for reply in replies:
        arrays: tuple[MaskedArray, ...] = reply.values["masked_params"]
        shapes = [array.shape for array in arrays]
        if shapes != [array.shape for array in replies[0].values["masked_params"]]:
            ledger.add("bad-length", reply.TYPE, reply.node, f"{reply.node} sent arrays of other shapes than the first")
        for array in arrays:
            if not _sound(reply, array, source, modulus, ledger):
                withheld[array.blob] = None
    return tuple(withheld)


def _sound(reply: FlowerRecord, array: MaskedArray, source: Source, modulus: int, ledger: Ledger) -> bool:
    """Tell whether the words are there; note what is wrong with them."""
    if array.dtype not in RING_TYPES:
        ledger.add("bad-length", reply.TYPE, reply.node, f"{reply.node} sent {array.dtype} where ring words belong")
        return True
    data = source.blob(array.blob)
    if data is None:
        return False
    words = np.dtype(array.dtype)
    if sha256(data.data).hexdigest() != array.blob:
        ledger.add("blob-digest", reply.TYPE, reply.node, f"the words kept for {reply.node} are not the ones it sent")
    elif data.nbytes != array.length * words.itemsize:
        ledger.add("bad-length", reply.TYPE, reply.node, f"{data.nbytes} bytes of {reply.node}, of shape {array.shape}")
    elif modulus < 1 << (8 * words.itemsize) and array.length and int(data.view(words).max()) >= modulus:
        ledger.add("bad-length", reply.TYPE, reply.node, f"{reply.node} sent a word beyond the ring")
    return True
