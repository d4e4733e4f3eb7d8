"""What becomes of the installed Flower's sum when clients drop out, and when one gives a share that it did not get.

Both run Flower's real workflow and mod over known updates and compare what comes out with the plaintext mean.
"""

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from secagg.flower.captured import STAGES
from secagg.flower.harness import kind_of, node_id
from secagg.flower.recording import CONFIGS
from secagg.flower.rehearsal import FlowerRound, Rehearsal, rehearse

if TYPE_CHECKING:
    from flwr.app import Message

    from secagg.flower.harness import Deliver

EXACT, WRONG, ABORTED = "exact", "wrong", "aborted"
LENGTH = 16
WORKFLOW = "flwr.server.workflow.secure_aggregation.secaggplus_workflow.SecAggPlusWorkflow"


@dataclass(frozen=True)
class DropOutOutcome:
    """How a round with drop-outs ended."""

    software: str
    stage: str
    """The stage whose request the lost clients never got."""
    dropped: int
    outcome: str
    """`exact`: the mean of those whose masked update arrived, to two steps of quantisation; `wrong`; or `aborted`."""
    max_error: float | None
    """Largest deviation from that mean; None where the round gave nothing."""
    reason: str | None
    """The exception of the workflow or of the first client that raised; None where there was none."""


def drop_out(
    clients: int, stage: str, dropped: int, setting: FlowerRound | None = None, length: int = LENGTH
) -> DropOutOutcome:
    """Run a round in which the last `dropped` clients are lost from a stage on.

    Args:
        clients: the cohort.
        stage: of `secagg.flower.captured.STAGES`.
        dropped: clients lost; 0 shows that the round is sound without.
        setting: parameters of the workflow; by default all clients are neighbours and two thirds of the shares do.
        length: elements of an update.

    Raises:
        ValueError: no such stage.
    """
    if stage not in STAGES:
        raise ValueError(f"stage is {stage!r}; allowed is {', '.join(STAGES)}")
    lost = {node_id(place) for place in range(clients - dropped, clients)}
    late = STAGES[STAGES.index(stage) :]
    updates = _updates(clients, length)
    chosen = setting or FlowerRound(clients, max(2, 2 * clients // 3))
    run = rehearse(updates, None, chosen, drop=lambda kind, node: node in lost and kind in late)
    summed = clients if stage == "unmask" else clients - dropped
    return DropOutOutcome(_software(), stage, dropped, *_compared(run, updates[:summed], chosen))


@dataclass(frozen=True)
class WrongShareOutcome:
    """What one share that was changed did to the sum."""

    software: str
    function: str
    without: str
    """The outcome of the same round with the right share: the control, `exact` where the rest is in order."""
    outcome: str
    """With the wrong share: `wrong` is a false sum without an error, `aborted` that it was noticed."""
    max_error: float | None
    named: bool
    """Whether an error names the node that gave the wrong share."""


def plant_wrong_share(length: int = LENGTH) -> WrongShareOutcome:
    """Let one client of five change one bit of one share of a survivor's self-mask seed, and compare the sum."""
    liar, owner = node_id(0), node_id(1)
    updates, setting = _updates(5, length), FlowerRound(5, 3)

    def change(message: "Message", deliver: "Deliver") -> "Message":
        reply = deliver(message)
        if (kind_of(message), message.metadata.dst_node_id) == ("unmask", liar) and not reply.has_error():
            configs: Any = reply.content.config_records[CONFIGS]
            place = list(configs["nids"]).index(owner)
            configs["shares"] = [_flipped(one) if i == place else one for i, one in enumerate(configs["shares"])]
        return reply

    without, _, _ = _compared(rehearse(updates, None, setting), updates, setting)
    run = rehearse(updates, None, setting, tamper=change)
    outcome, deviation, _ = _compared(run, updates, setting)
    return WrongShareOutcome(_software(), WORKFLOW, without, outcome, deviation, str(liar) in (run.error or ""))


def _flipped(share: bytes) -> bytes:
    """Change the first byte after the index: the padding of the secret, in its last block, stays as it is."""
    return share[:4] + bytes([share[4] ^ 1]) + share[5:]


def _compared(run: Rehearsal, summed: NDArray[Any], setting: FlowerRound) -> tuple[str, float | None, str | None]:
    """Return outcome, deviation and reason of a round, given the updates that belong in its sum."""
    raised = run.grid.errors[0][2] if run.grid.errors else None
    reason = run.error or (f"{type(raised).__name__}: {raised}" if raised is not None else None)
    if run.mean is None:
        return ABORTED, None, reason
    deviation = float(np.abs(run.mean - summed.mean(axis=0)).max())
    step = 2 * setting.clipping_range / setting.quantization_range
    return (EXACT if deviation <= 2 * step else WRONG), deviation, reason


def _updates(clients: int, length: int) -> NDArray[np.float64]:
    return np.random.default_rng(clients).uniform(-1, 1, (clients, length))


def _software() -> str:
    return f"flwr {version('flwr')}"
