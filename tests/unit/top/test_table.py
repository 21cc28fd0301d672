"""The table as a terminal shows it."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from scanpool.models.conditions import LimitedBy
from scanpool.top.rows import HISTORY_LENGTH, Row, Sample
from scanpool.top.table import PoolTable, tokens

ROWS = [
    Row("scan", "worker", Sample(1_700_000, 812, 4), 3, 4, LimitedBy.TOKENS, 2_000_000, 300_000),
    Row("chat", "[red]worker", Sample(), trouble="BrokerUnreachable"),
]


def printed(rows: list[Row], history: dict, caption: str = "", width: int = 200) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False, color_system=None)
    console.print(PoolTable(rows, history, caption))
    return console.file.getvalue().splitlines()


def test_every_pool_has_a_line_in_the_order_of_the_names() -> None:
    heading, first, second = printed(ROWS, {})[:3]
    assert heading.split() == [
        "NAMESPACE", "POOL", "REPLICAS", "LIMITED", "BY", "BACKLOG", "USED", "LIMIT", "HEADROOM",
        "TROUBLE",
    ]  # fmt: skip
    assert first.split() == ["chat", "[red]worker", "-/-", "-", "-", "-", "-", "-",
                             "BrokerUnreachable"]  # fmt: skip
    assert second.split() == [
        "scan", "worker", "3/4", "█", "Tokens", "812", "█", "1.7M", "▇", "2M", "300k",
    ]  # fmt: skip


def test_of_several_limits_the_one_that_binds_is_named() -> None:
    several = replace(ROWS[0], name="several", binding="gpt")
    heading, other, first, second = printed([*ROWS, several], {})[:4]
    assert heading.split()[-4:] == ["LLM", "LIMIT", "HEADROOM", "TROUBLE"]
    assert first.split()[-3:] == ["gpt", "2M", "300k"]
    assert second.split()[-3:] == ["-", "2M", "300k"]
    assert other.split()[-4:] == ["-", "-", "-", "BrokerUnreachable"]


def test_lines_show_how_it_went() -> None:
    samples = (Sample(0, 0, 1), Sample(1_000_000, 406, 2), Sample(1_700_000, 812, 4))
    (_, line) = printed(ROWS[:1], {("scan", "worker"): samples})[:2]
    assert "▁" in line
    assert line.count("█") == 2, "the most replicas and the largest backlog"
    assert "▅▇" in line, "the use, of the limit"


def test_a_change_on_its_way_is_shown() -> None:
    assert "2/2 > 5" in printed([Row("n", "p", Sample(replicas=2), 2, 5)], {})[1]


def test_the_caption_stands_below() -> None:
    assert printed(ROWS, {}, "gone [bold]")[-1].strip() == "gone [bold]"


@pytest.mark.parametrize(("width", "looks"), [(200, 24), (152, 17), (120, 6), (105, 1)])
def test_a_narrow_terminal_shows_fewer_looks_and_all_figures(width: int, looks: int) -> None:
    rising = tuple(Sample(80_000 * n, n, n) for n in range(HISTORY_LENGTH + 1))[1:]
    heading, first, second = printed(ROWS, {row.key: rising for row in ROWS}, width=width)
    for figure in ("NAMESPACE", "LIMITED BY", "BACKLOG", "HEADROOM", "TROUBLE"):
        assert figure in heading
    assert "[red]worker" in first
    assert first.endswith("BrokerUnreachable")
    assert "…" not in heading + first + second
    lines = [word for word in second.split() if set(word) <= set("▁▂▃▄▅▆▇█")]
    assert [len(line) for line in lines] == [looks] * 3
    assert all(line.endswith("█") for line in lines[:2]), "the newest looks are kept"


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "-"), (0, "0"), (9_999, "9999"), (12_345, "12.35k"), (500_000, "500k"),
     (999_950, "1000k"), (1_250_000, "1.25M"), (40_000_000, "40M"), (-30_000, "-30k")],
)  # fmt: skip
def test_numbers_are_short(number: int | None, text: str) -> None:
    assert tokens(number) == text
