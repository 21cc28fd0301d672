"""Tables of closed-loop cases: of several seeds, the worst figure of each."""

from collections.abc import Iterable, Sequence
from io import StringIO

from rich import box
from rich.console import Console
from rich.table import Table

from scanpool_replay.cases import Outcome
from scanpool_replay.report.documents import WIDTH

CROSS = "\N{MULTIPLICATION SIGN}"
COLUMNS = (
    "use of the limit", "429s once settled", "429s in all", "wasted tokens", "scalings in 5 min",
    "in 10 min", "completed", "failed",
)  # fmt: skip


def table(title: str, outcomes: Iterable[Outcome]) -> Table:
    """Return a line for each autoscaler of one case, with the bounds that it breaks."""
    found = Table(title=title, title_justify="left")
    found.add_column("autoscaler", no_wrap=True)
    for column in COLUMNS:
        found.add_column(column, justify="right")
    found.add_column("breaks")
    for name, seeds in _by_autoscaler(outcomes).items():
        found.add_row(name, *_figures(seeds), _breaks(seeds))
    return found


def markdown(cases: Sequence[tuple[str, Sequence[Outcome]]]) -> str:
    """Return one Markdown table of all cases, a column for each autoscaler.

    A cell has the use of the limit, the 429s once settled, the changes of replicas in five minutes
    and the scans that failed; a cross where a bound is broken.
    """
    rows = {case: _by_autoscaler(outcomes) for case, outcomes in cases}
    names = dict.fromkeys(name for row in rows.values() for name in row)
    found = Table("case", *names, box=box.MARKDOWN)
    for case, row in rows.items():
        found.add_row(case, *(_cell(row[name]) if name in row else "" for name in names))
    text = StringIO()
    Console(width=WIDTH, file=text).print(found)
    return "\n".join(line.rstrip() for line in text.getvalue().strip().splitlines()) + "\n"


def _by_autoscaler(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for one in outcomes:
        found.setdefault(one.autoscaler, []).append(one)
    return found


def _cell(seeds: Sequence[Outcome]) -> str:
    refused = max(one.refused_share for one in seeds)
    scalings = max(one.most_scalings for one in seeds)
    failed = max(one.result.final.failed for one in seeds)
    cross = f" {CROSS}" if any(one.broken for one in seeds) else ""
    return f"{_use(seeds)} / {refused:.2%} / {scalings} / {failed:,}{cross}"


def _figures(seeds: Sequence[Outcome]) -> tuple[str, ...]:
    finals = [one.result.final for one in seeds]
    return (
        _use(seeds),
        f"{max(one.refused_share for one in seeds):.2%}",
        f"{max(one.refused_share for one in finals):.2%}",
        f"{max(one.wasted_share for one in finals):.2%}",
        str(max(one.most_scalings for one in seeds)),
        str(max(one.long_scalings for one in seeds)),
        f"{min(one.completed for one in finals):,}",
        f"{max(one.failed for one in finals):,}",
    )


def _use(seeds: Sequence[Outcome]) -> str:
    """Return the least use of the limit; a dash where no messages waited."""
    least = min((one.utilization for one in seeds if one.utilization is not None), default=None)
    return "-" if least is None else f"{least:.1%}"


def _breaks(seeds: Sequence[Outcome]) -> str:
    return "; ".join(_broken(seeds)) or "none"


def _broken(seeds: Sequence[Outcome]) -> Iterable[str]:
    for one in seeds:
        which = f"seed {one.result.seed}: " if len(seeds) > 1 else ""
        for verdict in one.broken:
            yield f"{which}{verdict.requirement}: {verdict.shown}"
