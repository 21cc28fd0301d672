"""Schedules: the last that began and has not ended, by the clock of its zone."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import pool
from scanpool.decide import schedules
from scanpool.models.schedule import Schedule

BERLIN, NEW_YORK, KATHMANDU = "Europe/Berlin", "America/New_York", "Asia/Kathmandu"


def schedule(name: str, start: str, end: str, zone: str = "UTC", least: int = 3) -> Schedule:
    return Schedule(name=name, start=start, end=end, time_zone=zone, min_replicas=least)


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def in_force(text: str, *them: Schedule, zone: str = "UTC") -> str | None:
    return schedules.in_force(pool(schedules=them), at(text, zone))


WORK = schedule("work", "0 8 * * 1-5", "0 18 * * 1-5")
LUNCH = schedule("lunch", "0 12 * * *", "30 13 * * *", least=6)
NIGHT = schedule("night", "0 22 * * *", "0 6 * * *", least=1)


@pytest.mark.parametrize(
    ("time", "name"),
    [
        ("2026-11-27T07:59:59", None),  # a Friday
        ("2026-11-27T08:00:00", "work"),
        ("2026-11-27T12:00:30", "lunch"),
        ("2026-11-27T13:29:59", "lunch"),
        ("2026-11-27T13:30:00", "work"),
        ("2026-11-27T17:59:59", "work"),
        ("2026-11-27T18:00:00", None),
        ("2026-11-27T23:00:00", "night"),
        ("2026-11-28T05:59:59", "night"),
        ("2026-11-28T06:00:00", None),
        ("2026-11-28T09:00:00", None),  # a Saturday
        ("2026-11-28T12:15:00", "lunch"),
    ],
)
def test_the_last_that_began_counts_until_it_ends(time: str, name: str | None) -> None:
    assert in_force(time, WORK, LUNCH, NIGHT) == name


@pytest.mark.parametrize(
    ("zone", "time", "name"),
    [
        (BERLIN, "2026-01-15T06:59:59", None),  # UTC + 1 h
        (BERLIN, "2026-01-15T07:00:00", "day"),
        (BERLIN, "2026-07-15T05:59:59", None),  # + 2 h
        (BERLIN, "2026-07-15T06:00:00", "day"),
        (NEW_YORK, "2026-01-15T13:00:00", "day"),  # - 5 h
        (NEW_YORK, "2026-07-15T12:00:00", "day"),  # - 4 h
        (KATHMANDU, "2026-07-15T02:14:59", None),  # + 5 h 45 min
        (KATHMANDU, "2026-07-15T02:15:00", "day"),
    ],
)
def test_the_zone_s_clock_counts_and_its_changes(zone: str, time: str, name: str | None) -> None:
    assert in_force(time, schedule("day", "0 8 * * *", "0 18 * * *", zone)) == name


@pytest.mark.parametrize(
    ("time", "name"),
    [
        ("2026-03-29T00:59:59", None),  # 01:59:59 in Berlin; an hour is skipped
        ("2026-03-29T01:00:00", "night"),  # 03:00: what was for 02:30 begins
        ("2026-03-29T01:59:59", "night"),
        ("2026-03-29T02:00:00", None),  # 04:00
        ("2026-10-25T00:30:00", "night"),  # 02:30, for the first time
        ("2026-10-25T01:30:00", "night"),  # and again
        ("2026-10-25T03:00:00", None),  # 04:00
    ],
)
def test_an_hour_that_is_skipped_or_repeated(time: str, name: str | None) -> None:
    assert in_force(time, schedule("night", "30 2 * * *", "0 4 * * *", BERLIN)) == name


def test_of_two_that_begin_together_the_last_of_the_list_counts() -> None:
    first = schedule("first", "0 8 * * *", "0 18 * * *")
    second = schedule("second", "0 8 * * *", "0 9 * * *")
    assert in_force("2026-11-27T08:30:00", first, second) == "second"
    assert in_force("2026-11-27T08:30:00", second, first) == "first"
    assert in_force("2026-11-27T09:30:00", first, second) == "first"


def test_a_pool_without_schedules_has_its_own_bounds() -> None:
    assert in_force("2026-11-27T08:30:00") is None
    assert schedules.under(pool(), None) == pool()


@pytest.mark.parametrize(
    ("least", "most", "bounds"),
    [(4, None, (4, 10)), (None, 20, (1, 20)), (0, 3, (0, 3)), (10, 10, (10, 10))],
)
def test_a_schedule_changes_what_it_sets(
    least: int | None, most: int | None, bounds: tuple[int, int]
) -> None:
    peak = Schedule(
        name="peak", start="0 8 * * *", end="0 9 * * *", min_replicas=least, max_replicas=most
    )
    spec = pool(schedules=(peak,))
    found = schedules.under(spec, "peak")
    assert (found.min_replicas, found.max_replicas) == bounds
    assert found.model_copy(update={"min_replicas": 1, "max_replicas": 10}) == spec
    assert schedules.under(spec, "gone") == spec


@given(
    minute=st.integers(at("2025-01-01T00:00:00") // 60, at("2028-01-01T00:00:00") // 60),
    zone=st.sampled_from([BERLIN, NEW_YORK, KATHMANDU, "UTC", "Australia/Lord_Howe"]),
    start=st.integers(0, 22),
    hours=st.integers(1, 23),
)
def test_by_the_wall_clock_it_is_what_a_person_would_say(
    minute: int, zone: str, start: int, hours: int
) -> None:
    """On days on which no clock changes."""
    now = datetime.fromtimestamp(minute * 60, ZoneInfo(zone))
    offsets = {datetime.fromtimestamp(minute * 60 + day * 86_400, ZoneInfo(zone)).utcoffset()
               for day in (-2, -1, 0, 1)}  # fmt: skip
    spec = pool(
        schedules=(schedule("one", f"0 {start} * * *", f"0 {(start + hours) % 24} * * *", zone),)
    )
    expected = (now.hour - start) % 24 < hours
    if len(offsets) == 1:
        assert (schedules.in_force(spec, minute * 60.0) == "one") is expected
