"""What is no schedule is refused, with what is wrong and what would be right."""

from typing import Any

import pytest
from pydantic import ValidationError

from builders import pool
from scanpool.models.schedule import Schedule

RIGHT = {
    "name": "peak", "start": "0 8 * * 1-5", "end": "0 18 * * 1-5", "minReplicas": 3,
}  # fmt: skip


def refusal(**changes: Any) -> str:
    told = {**RIGHT, **changes}
    with pytest.raises(ValidationError) as caught:
        Schedule.model_validate({key: value for key, value in told.items() if value is not None})
    return str(caught.value)


@pytest.mark.parametrize(
    "cron", ["*/5 8-17 * * MON-FRI", "0 0 1 1 *", "0 8 * * 0", "30  2 L * *", "0 8 * * 1#1"]
)
def test_cron_expressions(cron: str) -> None:
    assert Schedule.model_validate({**RIGHT, "start": cron}).start == cron


@pytest.mark.parametrize(
    "cron",
    ["", "8", "* * * *", "* * * * * *", "61 * * * *", "0 24 * * *", "0 8 30 2 *", "0 8 * * 8",
     "@daily", "every day at", "0 8 * * 1-5; x", "\x00 8 * * *", "0 8 * * " + "1," * 99 + "1"],
)  # fmt: skip
@pytest.mark.parametrize("field", ["start", "end"])
def test_what_is_no_cron_expression(field: str, cron: str) -> None:
    assert field in refusal(**{field: cron})


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "europe/berlin", "", "CET+1"])
def test_what_is_no_zone(zone: str) -> None:
    assert "timeZone" in refusal(timeZone=zone)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"end": RIGHT["start"]}, "must not end when it starts"),
        ({"minReplicas": None}, "sets minReplicas, maxReplicas, or both"),
        ({"name": "Peak hours"}, "name"),
        ({"maxReplicas": 0}, "maxReplicas"),
    ],
)
def test_what_is_no_schedule(changes: dict[str, Any], words: str) -> None:
    assert words in refusal(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([{}, {}], "names must be unique"),
        ([{"minReplicas": 11}], "under a schedule, too"),
        ([{"minReplicas": None, "maxReplicas": 1}], "under a schedule, too"),
        ([{"minReplicas": 5, "maxReplicas": 4}], "under a schedule, too"),
    ],
)
def test_a_pool_s_bounds_hold_together_under_each(
    changes: list[dict[str, Any]], words: str
) -> None:
    written = pool(min_replicas=2).model_dump(mode="json", by_alias=True, exclude_none=True)
    told = [{**RIGHT, **one} for one in changes]
    written["schedules"] = [{k: v for k, v in one.items() if v is not None} for one in told]
    with pytest.raises(ValidationError, match=words):
        type(pool()).model_validate(written)
