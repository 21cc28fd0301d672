"""Draws what `scanpool top` shows: pools of the cluster of KUBECONFIG, for two minutes.

KUBECONFIG=... .venv/bin/python scripts/top_picture.py docs/top.svg
"""

import asyncio
import io
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI

from scanpool.kube.api import KubeApi
from scanpool.kube.cluster import Cluster
from scanpool.models.reading import Unavailable
from scanpool.top.command import DEFAULT_INTERVAL_SECONDS
from scanpool.top.rows import HISTORY_LENGTH, History, remember, row
from scanpool.top.table import PoolTable

COLUMNS = 140
"""Of the terminal: as wide as a page shows it legibly."""
# rich's own has a window's frame and loads its font from the network, which a picture may not.
FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>scanpool top -A</title>
<style>
.{unique_id}-matrix {{ font-family: Menlo, Consolas, DejaVu Sans Mono, monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width }}
{styles}
</style>
<defs>{lines}</defs>
<rect width="100%" height="100%" rx="8" fill="#191919"/>
<g transform="translate(9, 26)" class="{unique_id}-matrix">
{backgrounds}
{matrix}
</g>
</svg>
"""


def main() -> None:
    """Look as often as a sparkline is long, and draw the last table."""
    (path,) = sys.argv[1:]
    with ThreadPoolExecutor(1) as executor:
        api = KubeApi(executor, 1)
        try:
            svg = asyncio.run(_picture(Cluster(api, time.time)))
        finally:
            api.close()
    Path(path).write_text(svg, "utf-8")


async def _picture(cluster: Cluster) -> str:
    history: History = {}
    for number in range(HISTORY_LENGTH):
        if number:
            await asyncio.sleep(DEFAULT_INTERVAL_SECONDS)
        found = await cluster.read_pools(None)
        if isinstance(found, Unavailable):
            sys.exit(found.message)
        rows = [row(body) for body in found.value]
        history = remember(history, rows)
    console = Console(record=True, file=io.StringIO(), width=COLUMNS, color_system="truecolor")
    console.print("$ scanpool top -A", highlight=False, style="bold")
    console.print(PoolTable(rows, history))
    return console.export_svg(theme=DIMMED_MONOKAI, code_format=FORMAT, unique_id="top")


if __name__ == "__main__":
    main()
