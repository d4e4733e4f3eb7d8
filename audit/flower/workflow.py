"""Flower's SecAgg+ captured on the server: the sums it gets, the model before, and the transcript of each round."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from torch import Tensor, nn

from audit.capture import Batch
from audit.flower.planted import Records, planted, reference_records
from audit.flower.protection import secure_aggregation_of
from audit.flower.recorded import Recorded, RecordedFolder
from audit.flower.subject import Subject, difference
from audit.flower.training import training_of
from secagg.flower.capture import Capture, CapturingGrid, read_flower
from secagg.flower.captured import COLLECT
from secagg.flower.records import FROM, TO

if TYPE_CHECKING:
    from flwr.app import Context
    from flwr.serverapp import Grid


class CapturedWorkflow:
    """A fit workflow round Flower's `SecAggPlusWorkflow` that writes down what the server learns; see `captured`."""

    def __init__(
        self,
        workflow: "Callable[[Grid, Context], None]",
        folder: RecordedFolder,
        subject: Subject,
        records: "Callable[[Context], Any]",
        reference: Records | None,
    ) -> None:
        self._workflow, self._folder, self._subject = workflow, folder, subject
        self._records, self._reference = records, reference

    def __call__(self, grid: "Grid", context: "Context") -> None:
        """Run one round, and record it where it gave a sum.

        Raises:
            CaptureError: the folder holds another run, or what is trained is not the model.
        """
        from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD, Key

        number = int(cast(int, context.state.config_records[MAIN_CONFIGS_RECORD][Key.CURRENT_ROUND]))
        before = self._subject.tensors(context.state.array_records[MAIN_PARAMS_RECORD])
        self._folder.begin(context.run_id, self._reference)
        with CapturingGrid(grid, self._folder.path / "transcripts") as talking:
            self._workflow(talking, context)
        if not talking.folders:
            return  # the strategy chose nobody
        after = self._subject.tensors(context.state.array_records[MAIN_PARAMS_RECORD])
        heard = _Heard.of(read_flower(talking.folders[-1]), len(list(grid.get_node_ids())))
        mean = difference(after, before)
        if any(bool((tensor != 0).any()) for tensor in mean.values()):  # an aborted round leaves the model as it was
            self._record(number, context, heard, before, mean, talking.folders[-1])

    def _record(
        self,
        number: int,
        context: "Context",
        heard: "_Heard",
        before: Mapping[str, Tensor],
        mean: Mapping[str, Tensor],
        transcript: Path,
    ) -> None:
        truths = [planted(self._records, one) for one in _contexts(context, heard.nodes)] if heard.everybody else []
        truth = Records(*(np.concatenate([getattr(one, part) for one in truths]) for part in "xy")) if truths else None
        training = training_of(context.run_config, len(truths[0]) if truths else None)
        entry = {
            "kind": "aggregate",
            "of": "delta",
            "clients": heard.clients,
            "divided_by": float(heard.clients),
            "round": number,
            **training.entry,
        }
        federation = {
            **training.federation,
            "clients": heard.nodes,
            "clients_per_round": heard.clients,
            "visibility": "aggregate",
            "secure_aggregation": secure_aggregation_of(heard.setup, heard.cohort),
        }
        self._folder.add(
            Recorded(f"updates/round-{number:04}/sum", mean, before, entry, federation, truth, transcript=transcript)
        )


@dataclass(frozen=True)
class _Heard:
    """What a recorded round says of who took part."""

    setup: Mapping[str, Any]
    """The parameters that the clients were told."""
    cohort: int
    """Clients that were asked."""
    clients: int
    """Clients in the sum."""
    nodes: int
    """Clients of the federation."""

    @classmethod
    def of(cls, capture: Capture, nodes: int) -> "_Heard":
        setup = next(one.values for one in capture.records if one.STAGE == "setup" and one.direction == TO)
        masked = {one.node for one in capture.records if one.STAGE == COLLECT and one.direction == FROM}
        return cls(setup, len(capture.header.clients), len(masked), nodes)

    @property
    def everybody(self) -> bool:
        """Whether the sum is of all, so that nobody needs to say which node holds which records."""
        return self.clients == self.nodes


def captured(
    workflow: "Callable[[Grid, Context], None]",
    folder: str | Path,
    model: Callable[[], nn.Module],
    records: "Callable[[Context], Any]",
    *,
    name: str,
    classes: int | None = None,
    reference: "Callable[[], Batch] | Batch | None" = None,
    tables: Mapping[str, Any] | None = None,
) -> CapturedWorkflow:
    """Return a fit workflow that does as `workflow`, a `SecAggPlusWorkflow`, and leaves `folder` for `fedaudit run`.

    Recorded are what the server learns: the model before each round, the mean of the updates, and the transcript of
    the protocol with its parameters. The mean is taken for one of equal weights, as it is where all clients train on
    equally many records. The planted records of a sum are known where every client of the federation is in it; Flower's
    server does not know which node holds which partition.

    Arguments as of `audit.flower.capture_mod`; `records` is called with a context for each partition.

    Raises:
        CaptureError: `tables` holds the table that the capture itself writes, `updates`.
        ValueError: `tables` holds something that TOML cannot.
    """
    subject = Subject(model, classes)
    written = RecordedFolder(folder, subject, name=name, tables=tables)
    return CapturedWorkflow(workflow, written, subject, records, reference_records(reference))


def _contexts(context: "Context", nodes: int) -> "Iterator[Context]":
    """Yield what the app's clients would be given, so that their records can be loaded by the app's own function."""
    from flwr.app import Context, RecordDict

    for partition in range(nodes):
        held: dict[str, bool | float | int | str] = {"partition-id": partition, "num-partitions": nodes}
        yield Context(context.run_id, partition, held, RecordDict(), context.run_config)
