"""The table of docs/reliability.md, from the cases: `python tests/faults/table.py` writes it."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

# As a program it is run from the repository, without pytest to say where the tests are.
sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.case import Case
from faults.cases import api_server, broker, operator, prometheus, provider, secrets, target
from faults.world import CEILING, Part

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- begin of the table -->\n", "<!-- end of the table -->\n"
CASES: Sequence[Case] = (
    *broker.CASES,
    *prometheus.CASES,
    *provider.CASES,
    *secrets.CASES,
    *target.CASES,
    *api_server.CASES,
    *operator.CASES,
)
HEAD = ("fault", "meanwhile", "condition", "reason", "Event", "afterwards")


def table(cases: Iterable[Case] = CASES) -> str:
    """Return the rows of all cases as Markdown, part by part."""
    told = list(cases)
    parts = (part for part in Part if any(case.part is part for case in told))
    return "\n".join(_of_part(part, told) for part in parts)


def _of_part(part: Part, cases: Iterable[Case]) -> str:
    rows = [HEAD, ("---",) * len(HEAD), *(_row(case) for case in cases if case.part is part)]
    lines = ("| " + " | ".join(row) + " |" for row in rows)
    return f"### {part}\n\n" + "\n".join(lines) + "\n"


def _row(case: Case) -> tuple[str, ...]:
    note = f"; {case.note}" if case.note else ""
    kind, _, status = case.tells.partition("=")
    return (
        case.injects,
        _meanwhile(case.replicas) + note,
        f"{kind} {status}" if case.tells else "-",
        f"`{case.reason}`" if case.reason else "-",
        "yes" if case.tells and case.has_event else "no",
        str(case.after),
    )


def _meanwhile(replicas: int) -> str:
    if replicas == CEILING:
        return f"stays at {CEILING}"
    return f"{CEILING} → {replicas}" if replicas else "no Deployment"


def page() -> str:
    """Return the page with the table as it should be."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page())
