"""What the demo shows: headings, kubectl's output, a live table, and the claims at the end."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

ROWS = 6
"""Seconds of history in the live table."""
PLAIN_WIDTH = 150
"""Columns where the output is no terminal: the widest table, unwrapped."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How things stand at one moment; rates in tokens per minute, None is unknown."""

    seconds: float
    replicas: int
    ready: int
    desired: int | None
    limited_by: str
    backlog: int | None
    used: int | None
    limit: int | None
    headroom: int | None
    completed: int
    calls: int
    refused: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that the story says, and whether it was so."""

    text: str
    held: bool
    evidence: str


class Screen:
    """The terminal. Where there is none, each step's last table is printed."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
            self._console = Console(highlight=False, width=PLAIN_WIDTH)
        self._samples: deque[Sample] = deque(maxlen=ROWS)
        self._live: Live | None = None

    def say(self, text: str) -> None:
        """Print plain words."""
        self._console.print(Text(text))

    def step(self, number: int, title: str, words: str) -> None:
        """Begin a step of the story."""
        self._console.print()
        self._console.print(Panel(words, title=f"{number}. {title}", title_align="left"))

    def command(self, line: str, output: str) -> None:
        """Show a command and what it printed."""
        self._console.print(Text(f"$ {line}", style="bold"))
        if output:
            self._console.print(Text(output), soft_wrap=True)

    def claim(self, claim: Claim) -> None:
        """Show a claim with its evidence."""
        mark = Text("  held  ", style="green") if claim.held else Text("  BROKEN  ", style="red")
        self._console.print(Text.assemble(mark, claim.text, ": ", claim.evidence), soft_wrap=True)

    def show(self, sample: Sample) -> None:
        """Add a row to the live table."""
        self._samples.append(sample)
        if self._live is not None:
            self._live.update(self._table())

    def __enter__(self) -> Self:
        """Begin a live table."""
        self._samples.clear()
        self._live = Live(self._table(), console=self._console, refresh_per_second=4)
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the table as it stands."""
        if self._live is not None:
            self._live.stop()
            self._live = None
            if not self._console.is_terminal:
                # rich ends the last line of a table only on a terminal.
                self._console.print()

    def summary(self, figures: Sequence[tuple[str, str]]) -> None:
        """Print the figures that the broker and the provider counted."""
        table = Table(
            title="Measured at the broker and at the LLM provider",
            title_justify="left",
            min_width=60,
        )
        table.add_column("figure")
        table.add_column("value", justify="right")
        for name, value in figures:
            table.add_row(name, value)
        self._console.print()
        self._console.print(table)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for name in (
            "TIME", "REPLICAS", "READY", "DESIRED", "LIMITED-BY", "BACKLOG", "TPM-USED",
            "TPM-LIMIT", "HEADROOM", "COMPLETED", "LLM-CALLS", "429S",
        ):  # fmt: skip
            table.add_column(name, justify="left" if name == "LIMITED-BY" else "right")
        for one in self._samples:
            table.add_row(
                f"{one.seconds:.0f} s",
                str(one.replicas),
                str(one.ready),
                _figure(one.desired),
                one.limited_by,
                _figure(one.backlog),
                _figure(one.used),
                _figure(one.limit),
                _figure(one.headroom),
                str(one.completed),
                str(one.calls),
                str(one.refused),
            )
        return table


def _figure(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
