"""Tables of closed-loop cases."""

from collections.abc import Iterable, Sequence
from io import StringIO

from rich import box
from rich.console import Console
from rich.table import Table

from scanpool_replay.cases import Outcome
from scanpool_replay.report.documents import WIDTH

CROSS = "\N{MULTIPLICATION SIGN}"
COLUMNS = (
    "429s once settled", "429s in all", "wasted tokens", "use of the limit", "completed", "failed",
    "scalings in 5 min",
)  # fmt: skip


def table(title: str, outcomes: Iterable[Outcome]) -> Table:
    """Return a line for each autoscaler of one case, with the bounds that it breaks."""
    found = Table(title=title, title_justify="left")
    found.add_column("autoscaler", no_wrap=True)
    for column in COLUMNS:
        found.add_column(column, justify="right")
    found.add_column("breaks")
    for one in outcomes:
        found.add_row(one.autoscaler, *_figures(one), _breaks(one))
    return found


def markdown(cases: Sequence[tuple[str, Sequence[Outcome]]]) -> str:
    """Return one Markdown table of all cases, a column for each autoscaler.

    A cell has the 429s once settled, the use of the limit, and the scans completed; a cross where a
    bound is broken.
    """
    names = dict.fromkeys(one.autoscaler for _, outcomes in cases for one in outcomes)
    found = Table("case", *names, box=box.MARKDOWN)
    for case, outcomes in cases:
        cells = {one.autoscaler: _cell(one) for one in outcomes}
        found.add_row(case, *(cells.get(name, "") for name in names))
    text = StringIO()
    Console(width=WIDTH, file=text).print(found)
    return "\n".join(line.rstrip() for line in text.getvalue().strip().splitlines()) + "\n"


def _cell(one: Outcome) -> str:
    use = "-" if one.utilization is None else f"{one.utilization:.0%}"
    cross = f" {CROSS}" if one.broken else ""
    return f"{one.refused_share:.2%}, {use}, {one.result.final.completed:,}{cross}"


def _figures(one: Outcome) -> tuple[str, ...]:
    final = one.result.final
    return (
        f"{one.refused_share:.2%}",
        f"{final.refused_share:.2%}",
        f"{final.wasted_share:.2%}",
        "-" if one.utilization is None else f"{one.utilization:.0%}",
        f"{final.completed:,}",
        f"{final.failed:,}",
        str(one.most_scalings),
    )


def _breaks(one: Outcome) -> str:
    return "; ".join(f"{verdict.requirement}: {verdict.shown}" for verdict in one.broken) or "none"
