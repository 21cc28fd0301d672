"""The drawn dashboard: all that was found, where the grid has it, and nothing that was not."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool_sandbox.picture.asking import Series, Shown, Span, ask
from scanpool_sandbox.picture.drawing import draw
from scanpool_sandbox.picture.scales import scale, shown, time_marks

ROOT = Path(__file__).parents[3]
SVG = "{http://www.w3.org/2000/svg}"
SECONDS = 100.0
STATES = {
    "0": {"text": "Closed", "color": "#009e73"},
    "1": {"text": "Open", "color": "#d55e00"},
    "2": {"text": "HalfOpen", "color": "#e69f00"},
}


def panel(kind: str, title: str = "A panel", unit: str = "short", y: int = 0) -> dict[str, Any]:
    mappings = [{"type": "value", "options": STATES}] if kind == "state-timeline" else []
    defaults = {"unit": unit, "mappings": mappings}
    return {
        "type": kind,
        "title": title,
        "gridPos": {"x": 0, "y": y, "w": 12, "h": 8},
        "fieldConfig": {"defaults": defaults, "overrides": []},
    }


def drawn(kind: str, *series: Series, unit: str = "short") -> ET.Element:
    text = draw("a <title>", [Shown(panel(kind, unit=unit), series)], SECONDS)
    return ET.fromstring(text)  # noqa: S314 - our own text


def words(svg: ET.Element) -> list[str]:
    return [each.text or "" for each in svg.iter(f"{SVG}text")]


def lines(svg: ET.Element) -> list[ET.Element]:
    return [each for each in svg.iter(f"{SVG}path") if each.get("stroke-width") == "1.6"]


def test_a_line_has_a_gap_where_nothing_was_known() -> None:
    known = tuple((float(at), 5.0) for at in (0, 1, 2, 8, 9))
    (line,) = lines(drawn("timeseries", Series("one", known)))
    assert line.get("d", "").count("M") == 2


def test_a_line_steps_and_what_stays_is_one_stroke() -> None:
    points = ((0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (3.0, 4.0), (4.0, 4.0))
    (line,) = lines(drawn("timeseries", Series("one", points)))
    assert re.sub(r"[-.\d ]+", "", line.get("d", "")) == "MHVH"


def test_a_limit_is_dashed_and_each_line_is_in_the_legend() -> None:
    points = ((0.0, 1.0), (1.0, 2.0))
    svg = drawn("timeseries", Series("use & more", points), Series("limit", points, dashed=True))
    assert [each.get("stroke-dasharray") is not None for each in lines(svg)] == [False, True]
    assert {"use & more", "limit"} <= set(words(svg))
    assert len({each.get("stroke") for each in lines(svg)}) == 2


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=20))
def test_every_line_stays_in_its_panel(values: list[float]) -> None:
    series = Series("one", tuple((5.0 * at, value) for at, value in enumerate(values)))
    (line,) = lines(drawn("timeseries", series))
    for x, y in re.findall(r"M([-.\d]+) ([-.\d]+)", line.get("d", "")):
        assert 0 <= float(x) <= 600
        assert 0 <= float(y) <= 224
    for y in re.findall(r"V([-.\d]+)", line.get("d", "")):
        assert 0 <= float(y) <= 224


def test_states_are_bars_as_long_as_they_lasted() -> None:
    points = ((0.0, 0.0), (10.0, 0.0), (20.0, 1.0), (30.0, 1.0), (60.0, 0.0), (70.0, 0.0))
    svg = drawn("state-timeline", Series("scan/scan-worker", points))
    bars = [each for each in svg.iter(f"{SVG}rect") if each.find(f"{SVG}title") is not None]
    names = [each.findtext(f"{SVG}title") for each in bars]
    assert names == ["Closed", "Open", "Closed"]
    # Between 40 and 60 nothing was known.
    lasted = [float(each.get("width", "")) for each in bars]
    assert lasted == pytest.approx([2 * lasted[2], 2 * lasted[2], lasted[2]], abs=0.2)
    assert "scan/scan-worker" in words(svg)
    # Only what occurs is explained.
    assert "HalfOpen" not in words(svg)


def test_a_number_is_the_last_one() -> None:
    svg = drawn("stat", Series("", ((0.0, 1.0), (9.0, 0.25))), unit="percentunit")
    assert "25%" in words(svg)


@pytest.mark.parametrize("kind", ["timeseries", "state-timeline", "stat"])
@pytest.mark.parametrize("series", [(), (Series("one", ()),)])
def test_what_found_nothing_says_so(kind: str, series: tuple[Series, ...]) -> None:
    assert "No data" in words(drawn(kind, *series))


@given(st.floats(-1e12, 1e12), st.floats(0, 1e12))
def test_a_scale_holds_what_it_is_for(low: float, length: float) -> None:
    marks = scale(low, low + length)
    slack = 1e-6 * max(abs(low), length, 1e-9) + 1e-9
    assert marks[0] <= low + slack
    assert marks[-1] >= low + length - slack
    assert 2 <= len(marks) <= 8


def test_the_marks_of_long_times_are_whole_minutes() -> None:
    assert [shown(mark, "s") for mark in scale(0, 400, "s")] == [
        "0 s", "2 min", "4 min", "6 min", "8 min",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "unit", "words_of_it"),
    [
        (0, "short", "0"),
        (999, "short", "999"),
        (1_500, "short", "1.5 K"),
        (-2_000_000, "short", "-2 M"),
        (0.855, "percentunit", "85.5%"),
        (0, "s", "0 s"),
        (0.05, "s", "50 ms"),
        (59, "s", "59 s"),
        (90, "s", "90 s"),
        (150, "s", "2.5 min"),
        (7_200, "s", "2 h"),
    ],
)
def test_numbers_have_units(value: float, unit: str, words_of_it: str) -> None:
    assert shown(value, unit) == words_of_it


def test_times_are_in_minutes_and_few() -> None:
    assert time_marks(200)[:3] == [(0.0, "0:00"), (30.0, "0:30"), (60.0, "1:00")]
    assert all(2 <= len(time_marks(seconds)) <= 8 for seconds in range(10, 20_000, 37))


def test_a_panel_is_asked_for_all_pools_over_the_span(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        found = {
            "metric": {"pool": "scan-worker"},
            "values": [[1_010, "2"], [1_015, "NaN"], [1_020, "3.5"]],
        }
        return httpx.Response(200, json={"data": {"result": [found]}})

    client = httpx.Client

    def stub(**options: Any) -> httpx.Client:
        return client(**options, transport=httpx.MockTransport(answer))

    monkeypatch.setattr(httpx, "Client", stub)
    target = {"refId": "B", "legendFormat": "{{pool}} limit"}
    target["expr"] = 'rate(a{namespace=~"$namespace", pool=~"$pool"}[$__rate_interval])'
    one = panel("timeseries") | {"targets": [target]}
    one["fieldConfig"]["overrides"] = [{"matcher": {"options": "B"}}]
    row = {"type": "row", "title": "Row", "gridPos": {}}

    first, second = ask("http://prometheus", {"panels": [row, one]}, Span(1_000, 1_600))

    assert first.series == ()
    assert second.series == (Series("scan-worker limit", ((10.0, 2.0), (20.0, 3.5)), dashed=True),)
    (url,) = asked
    assert url.params["query"] == 'rate(a{namespace=~".*", pool=~".*"}[15s])'
    assert (url.params["start"], url.params["end"], url.params["step"]) == ("1000", "1600", "2")


def test_the_picture_in_the_repository_is_of_this_dashboard() -> None:
    picture = (ROOT / "docs" / "dashboard.svg").read_text()
    dashboard = (ROOT / "manifests" / "monitoring" / "dashboard.json").read_text()
    described = ET.fromstring(picture).findtext(f"{SVG}desc")  # noqa: S314 - our own
    assert described is not None
    for title in described.removeprefix("Panels: ").split("; "):
        assert f'"title": "{title}"' in dashboard, "run `make dashboard-picture`"
