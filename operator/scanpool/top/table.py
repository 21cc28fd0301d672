"""Rows as a table for the terminal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from scanpool.models.conditions import LimitedBy
from scanpool.top.rows import HISTORY_LENGTH, History, Row, Sample, sparkline

UNKNOWN = "-"
THOUSAND = 1_000
MILLION = 1_000_000


UNBOUNDED = 10_000
"""Columns of a terminal that cuts off nothing: to measure in."""
SPARKLINES = 3


@dataclass(frozen=True, slots=True)
class PoolTable:
    """The table of all pools, the ones that a limit holds back or that have trouble marked.

    `history` may lack a pool; `caption` stands below the table. Where the terminal is narrow, the
    sparklines get what the figures leave: the newest looks of each.
    """

    rows: Sequence[Row]
    history: History
    caption: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table for a terminal of this width."""
        figures = Measurement.get(
            console, options.update(max_width=UNBOUNDED), self._table(looks=0)
        ).maximum
        left = (options.max_width - figures) // SPARKLINES
        yield self._table(looks=max(0, min(HISTORY_LENGTH, left)))

    def _table(self, looks: int) -> Table:
        return _table(
            self.rows,
            {key: samples[len(samples) - looks :] for key, samples in self.history.items()},
            self.caption,
        )


def _table(rows: Sequence[Row], history: History, caption: str) -> Table:
    found = Table(box=None, pad_edge=False, caption=Text(caption), caption_justify="left")
    for heading in ("NAMESPACE", "POOL"):
        found.add_column(heading, no_wrap=True)
    found.add_column("REPLICAS", justify="right", no_wrap=True)
    found.add_column("", no_wrap=True, max_width=HISTORY_LENGTH)
    found.add_column("LIMITED BY", no_wrap=True)
    found.add_column("BACKLOG", justify="right", no_wrap=True)
    found.add_column("", no_wrap=True, max_width=HISTORY_LENGTH)
    found.add_column("USED", justify="right", no_wrap=True)
    found.add_column("", no_wrap=True, max_width=HISTORY_LENGTH)
    if any(one.binding for one in rows):
        found.add_column("LLM", no_wrap=True)
    found.add_column("LIMIT", justify="right", no_wrap=True)
    found.add_column("HEADROOM", justify="right", no_wrap=True)
    found.add_column("TROUBLE", no_wrap=True)
    for one in sorted(rows, key=lambda each: each.key):
        samples = history.get(one.key, (one.sample,))
        found.add_row(
            Text(one.namespace),
            Text(one.name),
            Text(_replicas(one)),
            _line(samples, lambda sample: sample.replicas),
            _limited(one),
            Text(tokens(one.sample.backlog)),
            _line(samples, lambda sample: sample.backlog),
            Text(tokens(one.sample.used)),
            _line(samples, lambda sample: sample.used, one.limit),
            *([Text(one.binding or UNKNOWN)] if any(each.binding for each in rows) else []),
            Text(tokens(one.limit)),
            Text(tokens(one.headroom)),
            Text(one.trouble, style="red"),
        )
    return found


def tokens(number: int | None) -> str:
    """Return a number in three digits or so, as 850, 12.3k or 1.25M."""
    if number is None:
        return UNKNOWN
    if abs(number) >= MILLION:
        return f"{number / MILLION:.3g}M"
    return f"{number}" if abs(number) < 10 * THOUSAND else f"{number / THOUSAND:.4g}k"


def _replicas(row: Row) -> str:
    """Return ready of current, and what it is about to be if that is another number."""
    current = row.sample.replicas
    text = f"{_number(row.ready)}/{_number(current)}"
    return text if row.desired in (None, current) else f"{text} > {row.desired}"


def _number(number: int | None) -> str:
    return UNKNOWN if number is None else str(number)


def _limited(row: Row) -> Text:
    if row.limited_by in (None, LimitedBy.NONE):
        return Text(UNKNOWN)
    return Text(str(row.limited_by), style="yellow")


def _line(
    samples: Sequence[Sample], figure: Callable[[Sample], int | None], full: int | None = None
) -> Text:
    return Text(sparkline(map(figure, samples), full), style="cyan")
