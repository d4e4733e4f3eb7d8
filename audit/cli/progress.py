"""How a run is drawn on stderr: one live line for what is being asked, one lasting line for each answer."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from audit.plan import Planned
from audit.run import Progress as RunProgress
from reports.check import Check
from reports.model import Finding, Status

STYLES = {
    Status.PASS: ("✓", "green"),
    Status.FAIL: ("✗", "red"),
    Status.INCONCLUSIVE: ("?", "yellow"),
    Status.SKIPPED: ("–", "dim"),
    Status.ERROR: ("!", "magenta"),
}


class DrawnProgress(RunProgress):
    """Draws with rich on stderr; without a terminal, one line an answer. Skipped checks are counted, not listed."""

    def __init__(self, title: str, *, color: bool | None = None) -> None:
        self._console = Console(stderr=True, no_color=True if color is False else None, highlight=False)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(24), TimeElapsedColumn())
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._title = title
        self._task: TaskID | None = None
        self._skipped = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()
        if kind is None and self._skipped:
            self._console.print(Text(f"  – {self._skipped} not asked", style="dim"))

    def planned(self, planned: Sequence[Planned]) -> None:
        """Say how many checks will be asked."""
        asked = sum(one.runs for one in planned)
        self._console.print(Text(f"{self._title}: {asked} of {len(planned)} checks apply", style="bold"))

    def asking(self, check: Check) -> None:
        """Show which check is being asked."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(check.id, total=None)

    def trials(self, done: int, total: int) -> None:
        """Move the bar."""
        if self._task is not None:
            self._bar.update(self._task, completed=done, total=total)

    def answered(self, check: Check, findings: Sequence[Finding]) -> None:
        """Print what the check answered."""
        for finding in findings:
            if finding.status is Status.SKIPPED:
                self._skipped += 1
                continue
            sign, style = STYLES[finding.status]
            line = Text(f"  {sign} ", style=style)
            line.append(f"{check.id:<36}", style="bold")
            line.append(f" {finding.summary}", style="default")
            self._console.print(line, soft_wrap=True)
