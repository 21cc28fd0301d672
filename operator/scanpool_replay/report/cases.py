"""Tables of closed-loop cases."""

from collections.abc import Iterable, Sequence
from io import StringIO

from rich import box
from rich.console import Console
from rich.table import Table

from scanpool_replay.cases import Outcome
from scanpool_replay.report.documents import WIDTH

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


def markdown(cases: Iterable[tuple[str, Sequence[Outcome]]]) -> str:
    """Return one Markdown table of all cases."""
    found = Table(box=box.MARKDOWN)
    for column in ("case", "autoscaler", *COLUMNS, "bounds"):
        found.add_column(column, no_wrap=True)
    for name, outcomes in cases:
        for one in outcomes:
            held = "broken" if one.broken else "hold"
            found.add_row(name, one.autoscaler, *_figures(one), held)
    text = StringIO()
    Console(width=WIDTH, file=text).print(found)
    return "\n".join(line.rstrip() for line in text.getvalue().strip().splitlines()) + "\n"


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
