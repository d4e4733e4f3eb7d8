"""Drop-outs in rounds of Flower's own SecAgg+: the counterpart of `secagg.survival.survive`."""

from typing import TYPE_CHECKING

import numpy as np

from secagg.flower.harness import node_id
from secagg.flower.rehearsal import FlowerRound, Rehearsal, rehearse
from secagg.survival import FORGETFUL, Survival, Trial

if TYPE_CHECKING:
    from flwr.app import Message

    from secagg.flower.harness import Deliver

STAGES = {"advertise": "setup", "shares": "share_keys", "masked-input": "collect_masked_vectors", "unmask": "unmask"}
"""Our phases to the stages of Flower; it has no consistency check."""
_ORDER = tuple(STAGES.values())
_CLIPPING, _LEVELS = 8.0, 1 << 22
_MASKED = "masked_params"


def survive_flower(trial: Trial, rng: np.random.Generator) -> Survival:
    """Run one round of Flower's workflow and mod, and compare the mean with that of the survivors' plain updates.

    A mean counts as exact where every element lies within one step of the quantisation.
    """
    config = trial.config
    falls = {int(one[1:]) - 1: phase for one, phase in trial.plan.resolve(config.ids, rng).items()}
    gone = {node_id(place): _ORDER.index(STAGES[phase]) for place, phase in falls.items()}
    updates = rng.normal(size=(config.clients, config.length)).clip(-_CLIPPING, _CLIPPING)

    def drop(kind: str, node: int) -> bool:
        return node in gone and kind in _ORDER and _ORDER.index(kind) >= gone[node]

    setting = FlowerRound(
        num_shares=(config.degree or 0) + 1,
        reconstruction_threshold=config.threshold or 0,
        clipping_range=_CLIPPING,
        quantization_range=_LEVELS,
    )
    tamper = _spoil if trial.kind == FORGETFUL else None
    ended = rehearse(updates, setting=setting, drop=drop, tamper=tamper)
    summed = [place for place in range(config.clients) if falls.get(place) in (None, "unmask")]
    exact = None
    if ended.mean is not None:
        exact = bool((np.abs(ended.mean - updates[summed].mean(axis=0)) <= 2 * _CLIPPING / _LEVELS).all())
    return Survival(trial.kind, trial.phase, trial.dropped, config.clients, _reason(ended), exact)


def _reason(ended: Rehearsal) -> str | None:
    """Return why there is no mean, as a word: the workflow's exception, or a client's, or that it gave up."""
    if ended.mean is not None:
        return None
    if ended.error is not None:
        return ended.error.partition(":")[0]
    raised = ended.grid.errors
    return f"{type(raised[0][2]).__name__} in {raised[0][0]}" if raised else "no-aggregate"


def _spoil(message: "Message", deliver: "Deliver") -> "Message | None":
    """Deliver a message; of the first node's masked vectors the last comes back as one with another mask would."""
    from flwr.app import ConfigRecord
    from flwr.common import bytes_to_ndarray, ndarray_to_bytes

    reply = deliver(message)
    if message.metadata.dst_node_id != node_id(0) or not reply.has_content():
        return reply
    for name, record in reply.content.config_records.items():
        masked = record.get(_MASKED)
        if isinstance(masked, list):
            spoilt = bytes_to_ndarray(masked[-1]) ^ (1 << 24)  # type: ignore[arg-type]
            changed = [*masked[:-1], ndarray_to_bytes(spoilt)]
            reply.content.config_records[name] = ConfigRecord({**record, _MASKED: changed})
    return reply
