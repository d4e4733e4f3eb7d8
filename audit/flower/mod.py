"""A client mod that captures what leaves each client of a Flower app, with the planted records behind it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from audit.capture import Batch, CaptureError
from audit.flower.planted import planted, reference_records
from audit.flower.protection import privacy_of
from audit.flower.recorded import Recorded, RecordedFolder
from audit.flower.subject import Subject, difference
from audit.flower.training import training_of

if TYPE_CHECKING:
    from flwr.app import ArrayRecord, Context, Message
    from flwr.clientapp.typing import ClientAppCallable

SECURE = "secaggplus_configs"
"""The config record that Flower's SecAgg+ travels in."""


class CaptureMod:
    """Records, of every `train` message, the model that came, what leaves for the server, and the planted records.

    The outermost mod, so that what it sees is what the server sees: `mods=[capture_mod(...), LocalDpMod(...)]`. It
    hands message and reply on unchanged, and looks for the records after the training, so that nothing is drawn
    between the app's own dice. Arguments as of `capture_mod`.
    """

    def __init__(
        self, folder: RecordedFolder, subject: Subject, records: "Callable[[Context], Any]", reference: Any
    ) -> None:
        self._folder, self._subject, self._records, self._reference = folder, subject, records, reference

    def __call__(self, message: "Message", context: "Context", call_next: "ClientAppCallable") -> "Message":
        """Return the app's own reply, captured.

        Raises:
            CaptureError: the folder holds another run, the message is of Flower's SecAgg+, what travels is not the
                model, or nobody says which partition the client holds; Flower tells the server of it as it does of any
                error of a client.
        """
        if message.metadata.message_type.partition(".")[0] != "train":
            return call_next(message, context)
        if SECURE in message.content.config_records:
            raise CaptureError(
                "capture.secaggplus", "under SecAgg+ what leaves a client is masked, and the server sees sums alone",
                "Capture on the server: DefaultWorkflow(fit_workflow=captured(SecAggPlusWorkflow(...), ...)).",
            )  # fmt: skip
        _partition(context)
        before = self._subject.tensors(_arrays(message))
        reply = call_next(message, context)
        if reply.has_content():
            self._record(message, context, reply, before, privacy_of(message, call_next))
        return reply

    def _record(
        self, message: "Message", context: "Context", reply: "Message", before: Mapping[str, Any], privacy: Any
    ) -> None:
        self._folder.begin(context.run_id, reference_records(self._reference))
        truth = planted(self._records, context)
        number, partition = _round(message), _partition(context)
        training = training_of({**context.run_config, **_settings(message)}, len(truth))
        entry = {"kind": "delta", "client": f"client-{partition:04}", "round": number, **training.entry}
        clients = int(context.node_config.get("num-partitions", 1))
        federation = {**training.federation, "clients": clients, "visibility": "update"}
        if privacy:
            federation["differential_privacy"] = {**privacy, "steps": training.rounds}
        delta = difference(self._subject.tensors(_arrays(reply)), before)
        place = f"updates/round-{number:04}/client-{partition:04}"
        self._folder.add(Recorded(place, delta, before, entry, federation, truth))


def capture_mod(
    folder: str | Path,
    model: Callable[[], nn.Module],
    records: "Callable[[Context], Any]",
    *,
    name: str,
    classes: int | None = None,
    reference: "Callable[[], Batch] | Batch | None" = None,
    tables: Mapping[str, Any] | None = None,
) -> CaptureMod:
    """Return the mod that leaves `folder` as `fedaudit run` takes it.

    Args:
        folder: Of one run; that of another run is refused. `folder/system.toml` is right after each update.
        model: What builds the app's model, such as its `Net`.
        records: Gives a client's records by its context: (x, y), or batches of them. They are written down as the
            truth to be found, so run the app on planted records, never on real people's.
        name: Of the system.
        classes: Number of labels.
        reference: Public records of the same kind and their labels, or a function that gives them.
        tables: Further tables of system.toml, such as `claims`; they go before what the capture finds.

    Raises:
        CaptureError: `tables` holds the table that the capture itself writes, `updates`.
        ValueError: `tables` holds something that TOML cannot.
    """
    subject = Subject(model, classes)
    return CaptureMod(RecordedFolder(folder, subject, name=name, tables=tables), subject, records, reference)


def _arrays(message: "Message") -> "ArrayRecord":
    """Return the one array record of a message.

    Raises:
        CaptureError: `capture.arrays`, there is none, or more than one.
    """
    found = list(message.content.array_records.values())
    if len(found) != 1:
        raise CaptureError(
            "capture.arrays", f"a message of {len(found)} array records holds no model, or more than one",
            "Capture an app that sends one array record, the model's state dict.",
        )  # fmt: skip
    return found[0]


def _partition(context: "Context") -> int:
    """Return which partition of the data a client holds: its name on record, which two clients must not share.

    Raises:
        CaptureError: `capture.partition`, its node configuration does not say it.
    """
    held = context.node_config.get("partition-id")
    if not str(held).isdecimal():
        raise CaptureError(
            "capture.partition", f"the client's partition-id is {held!r}, and should be a whole number",
            "Start each SuperNode with --node-config 'partition-id=…', another number each.",
        )  # fmt: skip
    return int(str(held))


def _settings(message: "Message") -> dict[str, Any]:
    return {key: value for record in message.content.config_records.values() for key, value in record.items()}


def _round(message: "Message") -> int:
    number = _settings(message).get("server-round", message.metadata.group_id)
    return int(number) if str(number).isdecimal() else 0
