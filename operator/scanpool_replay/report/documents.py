"""The same as documents: JSON for programs, HTML for people."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from io import StringIO
from math import isfinite
from typing import Any

from rich.console import Console
from rich.table import Table

from scanpool_replay.report import charts
from scanpool_replay.report.series import panels
from scanpool_replay.report.tables import grouped
from scanpool_replay.run import Result

# Characters of a table.
WIDTH = 240
STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1280px; padding: 0 1rem }
pre { font-size: 12px; line-height: 1.3; overflow-x: auto }
figure { margin: 0 0 3rem; overflow-x: auto }
"""


def as_json(results: Sequence[Result], extra: dict[str, Any]) -> str:
    """Return all figures, without the samples. NaN and infinity become null."""
    runs = []
    for one in results:
        document = asdict(one)
        del document["tracks"]
        for name in ("at_end", "final"):
            totals = getattr(one, name)
            document[name] |= {
                "success": totals.success,
                "refused_share": totals.refused_share,
                "wasted_share": totals.wasted_share,
            }
        runs.append({**document, "scans_per_minute": one.scans_per_minute})
    return json.dumps(_finite({**extra, "runs": runs}), indent=2) + "\n"


def as_svg(results: Sequence[Result], rows: Sequence[int] | None = None) -> str:
    """Return plots of runs of one scenario, side by side; `rows` picks and orders the panels.

    Of a scenario with several pipelines, each has plots of its own.
    """
    columns = []
    for one in results:
        for track in one.tracks:
            name = f"{one.controller}: {track.pipeline}" if track.pipeline else one.controller
            found = panels(track.samples)
            columns.append((name, found if rows is None else [found[row] for row in rows]))
    return charts.grid(columns)


def as_html(results: Sequence[Result], tables: Sequence[Table]) -> str:
    """Return a page with the tables, and the plots of every scenario; of several seeds, the first.

    It loads nothing from elsewhere.
    """
    parts = [
        "<!doctype html>",
        '<html lang="en"><meta charset="utf-8"><title>scanpool-replay</title>',
        f"<style>{STYLE}</style>",
        "<h1>scanpool-replay</h1>",
        *(f"<pre>{escape(_plain_text(table))}</pre>" for table in tables),
    ]
    scenarios: dict[str, list[Result]] = {}
    for (scenario, _), same in grouped(results).items():
        scenarios.setdefault(scenario, []).append(same[0])
    for scenario, found in scenarios.items():
        parts.append(f"<h2>{escape(scenario)}</h2><figure>{as_svg(found)}</figure>")
    return "\n".join([*parts, "</html>", ""])


def _plain_text(table: Table) -> str:
    text = StringIO()
    Console(width=WIDTH, file=text).print(table)
    return text.getvalue()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value
