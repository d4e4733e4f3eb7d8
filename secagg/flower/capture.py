"""A recorder for Flower's own SecAgg+: it stands where the server's messages pass, and keeps one folder a round.

    with CapturingGrid(grid, folder) as recorded:
        DefaultWorkflow(fit_workflow=SecAggPlusWorkflow(...))(recorded, context)
    capture = read_flower(folder / "round-0001")

It sees what the server says and hears, not what a dishonest network makes of it. What a capture proves is judged in
`secagg.flower.judgement`, without flwr.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from secagg.flower.passing import PassingGrid
from secagg.flower.recording import CONFIGS, RoundRecording
from secagg.flower.records import FROM, TO, CaptureHeader, FlowerRecord, parse_line
from secagg.source import Source
from secagg.transcript import read_transcript
from secagg.wire import MalformedRecord

if TYPE_CHECKING:
    from flwr.app import Message as FlowerMessage
    from flwr.serverapp import Grid

    from secagg.flower.harness import InProcessGrid


class CapturingGrid(PassingGrid):
    """A Flower `Grid` that records SecAgg+ and hands everything on unchanged.

    Messages without SecAgg+ (evaluation, say) are not recorded. A node that does not answer, or answers with an error,
    leaves no `from` record: that is how a capture shows a drop-out.

    Args:
        grid: the grid that reaches the nodes.
        path: folder under which each round gets one of its own, `round-0001` after Flower's number of the round.
        function: what runs the rounds, by qualified name; Flower's workflow and mod where left out.

    Raises:
        FileError: when a round begins: its folder holds something already.
    """

    def __init__(self, grid: "Grid | InProcessGrid", path: Path, *, function: str | None = None) -> None:
        super().__init__(cast("Grid", grid))
        self._path = path
        self._function = function or _flowers_own()
        self._recording: RoundRecording | None = None
        self._stage = ""
        self.folders: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the record of the round under way."""
        if self._recording is not None:
            self._recording.close()
            self._recording = None

    def push_messages(self, messages: "Iterable[FlowerMessage]") -> Iterable[str]:
        """Record the messages, then hand them on."""
        kept = list(messages)
        self._record_all(kept, TO)
        return self._grid.push_messages(kept)

    def pull_messages(self, message_ids: Iterable[str]) -> "Iterable[FlowerMessage]":
        """Return the replies, recorded."""
        replies = list(self._grid.pull_messages(message_ids))
        self._record_all(replies, FROM)
        return replies

    def send_and_receive(
        self, messages: "Iterable[FlowerMessage]", *, timeout: float | None = None
    ) -> "Iterable[FlowerMessage]":
        """Record the messages, hand them on, and return the replies, recorded."""
        kept = list(messages)
        self._record_all(kept, TO)
        replies = list(self._grid.send_and_receive(kept, timeout=timeout))
        self._record_all(replies, FROM)
        return replies

    def _record_all(self, messages: "list[FlowerMessage]", direction: str) -> None:
        ours = [one for one in messages if one.has_content() and CONFIGS in one.content.config_records]
        if direction == TO and ours:
            self._stage = str(ours[0].content.config_records[CONFIGS]["stage"])
            if self._stage == "setup":
                self._begin(ours)
        if self._recording is not None:
            for message in ours:
                self._recording.record(message, direction, self._stage)

    def _begin(self, messages: "list[FlowerMessage]") -> None:
        self.close()
        group = messages[0].metadata.group_id
        number = int(group) if group.isdecimal() else len(self.folders) + 1
        folder = self._path / f"round-{number:04}"
        self._recording = RoundRecording(folder, number, messages, self._function)
        self.folders.append(folder)


@dataclass(frozen=True)
class Capture:
    """A captured round as it was written; what it shows is for `judge_capture` to say."""

    header: CaptureHeader
    records: tuple[FlowerRecord, ...]
    source: Source = field(repr=False)


def read_flower(path: Path) -> Capture:
    """Return the captured round of a folder, or of its file of lines.

    Raises:
        FileError: there is no transcript.
        MalformedRecord: a line is no record of a capture. Whether the chain holds is not looked at here.
    """
    source = read_transcript(path)
    lines = [parse_line(line) for line in source.lines()]
    if not lines or not isinstance(lines[0].body, CaptureHeader):
        raise MalformedRecord("the first line is no header")
    records = tuple(line.body for line in lines[1:] if isinstance(line.body, FlowerRecord))
    return Capture(lines[0].body, records, source)


def _flowers_own() -> str:
    from flwr.client.mod import secaggplus_mod
    from flwr.server.workflow import SecAggPlusWorkflow

    return ", ".join(f"{one.__module__}.{one.__qualname__}" for one in (SecAggPlusWorkflow, secaggplus_mod))
