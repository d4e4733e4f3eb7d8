"""How a self-test is drawn on stderr: a bar of cases; without a terminal, one line a case."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text


class CasesDrawn:
    """Draws with rich on stderr."""

    def __init__(self, cases: int, *, color: bool | None = None) -> None:
        self._console = Console(stderr=True, no_color=True if color is False else None, highlight=False)
        self._is_live = self._console.is_terminal
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn())
        self._bar = Progress(*columns, TimeElapsedColumn(), console=self._console, transient=True)
        self._task = self._bar.add_task("planting", total=cases)

    def __enter__(self) -> Self:
        if self._is_live:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._is_live:
            self._bar.stop()

    def played(self, name: str, seconds: float, done: int, total: int) -> None:
        """Tell that a case has ended."""
        if self._is_live:
            self._bar.update(self._task, completed=done, total=total, description=name)
        else:
            self._console.print(Text(f"{done}/{total} {name} {seconds:.1f} s"), soft_wrap=True)
