"""What a user's own training loop calls to leave a folder that fedaudit can audit.

Two lines, anywhere in a script:

    from audit.capture import record_gradient
    ...
    loss.backward()
    record_gradient(model, (x, y), "captured", client="ward-3", round=1, name="triage", federation={...})

Each call adds one update with its planted truth, and leaves the folder complete: `fedaudit run captured/system.toml`
takes it as it stands. `record_update` does the same for a client's parameters before and after local training. A
language model of transformers is recorded with what its tokenizer returned, `record_gradient(model, tokens, …)`.

`record_model` writes down a model that is released, with the records that it was trained on and others that it was not.

Who records much, or sums, holds the folder open instead, which writes system.toml once:

    with Capture("captured", model, name="triage", federation={...}) as capture:
        ...
        capture.record_gradient(model, (x, y), client="ward-3", round=1)

The batch is written out as the truth to be found, so record planted canary records, never real people's data. An
existing recording is never overwritten.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from audit.capture_folder import Batch, Capture, CaptureError, State

if TYPE_CHECKING:
    from audit.dp.record import DPRecord

__all__ = ["Batch", "Capture", "CaptureError", "State", "record_gradient", "record_model", "record_update"]


def record_gradient(
    model: nn.Module, batch: Batch, folder: str | Path, *, name: str, client: str, round: int,  # noqa: A002
    **description: Any,
) -> None:  # fmt: skip
    """Add the gradient in `.grad` to the recording in `folder`, which the first call begins.

    Args:
        model: After `backward`, before the optimiser's step.
        batch: What the loss was taken over; planted records.
        folder: Of this run; that of an earlier run is refused.
        name: Of the system.
        client: Whose gradient.
        round: Which round.
        **description: Further arguments of `Capture`, read at the first call.

    Raises:
        CaptureError: see `Capture`; or this client's gradient of this round is in the folder.
    """
    _add(folder, model, name, description, lambda to: to.record_gradient(model, batch, client=client, round=round))


def record_update(
    before: nn.Module, after: State, batch: Batch, folder: str | Path, *, name: str, client: str,
    round: int,  # noqa: A002
    local_steps: int = 1, learning_rate: float | None = None, batch_size: int | None = None, **description: Any,
) -> None:  # fmt: skip
    """Add what local training changed to the recording in `folder`, which the first call begins.

    Args:
        before: The model that the client was sent.
        after: The model, or the state dict, that it sends back.
        batch: All records that it trained on; planted records.
        folder: Of this run; that of an earlier run is refused.
        name: Of the system.
        client: Whose update.
        round: Which round.
        local_steps: Steps in between.
        learning_rate: Of those steps.
        batch_size: Records that each step saw; all by default.
        **description: Further arguments of `Capture`, read at the first call.

    Raises:
        CaptureError: see `Capture`; or this client's update of this round is in the folder.
    """

    def record(to: Capture) -> None:
        to.record_update(
            before, after, batch, client=client, round=round, local_steps=local_steps, learning_rate=learning_rate,
            batch_size=batch_size,
        )  # fmt: skip

    _add(folder, before, name, description, record)


def record_model(
    model: nn.Module, folder: str | Path, *, name: str, members: Batch, nonmembers: Batch,
    dp_record: "DPRecord | None" = None, **description: Any,
) -> None:  # fmt: skip
    """Write down a released model, for what its answers tell of the records that it was trained on.

    Args:
        model: As it is released; what Opacus put around it is left out.
        folder: To write; must not exist, or be empty.
        name: Of the system.
        members: Records that it was trained on, and their labels.
        nonmembers: Records of the same kind that it never saw; what its accuracy is measured on.
        dp_record: How its trainer was configured (`audit.dp.record.from_opacus`); what is declared of it stands in
            `federation`, under `differential_privacy`.
        **description: Further arguments of `Capture`, such as `federation` and `claims`.

    Raises:
        CaptureError: see `Capture`; or the records do not fit one another.
    """
    with Capture(folder, model, name=name, **description) as capture:
        capture.add_records("members", members)
        capture.add_records("nonmembers", nonmembers)
        if dp_record is not None:
            capture.add_dp_record(dp_record)


def _add(
    folder: str | Path,
    model: nn.Module,
    name: str,
    description: Mapping[str, Any],
    record: Callable[[Capture], None],
) -> None:
    """Open the recording, begun or not, add one update, and leave it complete."""
    with Capture.continuing(folder, model, name=name, **description) as capture:
        record(capture)
