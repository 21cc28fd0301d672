"""What the table shows of a pool, and how its figures went. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from scanpool.models.conditions import ConditionType, LimitedBy
from scanpool.models.pool import Pool
from scanpool.report.pool_status import LlmStatus, PoolStatus

HISTORY_LENGTH = 24
"""Samples that are kept of a pool, and columns of a sparkline: two minutes at five seconds each."""
BLOCKS = "▁▂▃▄▅▆▇█"
NOTHING_KNOWN = " "


@dataclass(frozen=True, slots=True)
class Sample:
    """Figures of one look; tokens per minute, messages, replicas. None is unknown."""

    used: int | None = None
    backlog: int | None = None
    replicas: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A pool as it stands. None is unknown."""

    namespace: str
    name: str
    sample: Sample = Sample()
    ready: int | None = None
    desired: int | None = None
    limited_by: LimitedBy | None = None
    limit: int | None = None
    headroom: int | None = None
    trouble: str = ""
    """The reason of Ready where it is not True, or why there is no figure."""
    binding: str | None = None
    """Which of several limits the tokens are of: the one with the smallest ceiling."""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others."""
        return self.namespace, self.name


History = Mapping[tuple[str, str], tuple[Sample, ...]]


def row(body: Mapping[str, Any]) -> Row:
    """Return a pool's row, from the object as the API sent it."""
    pool = Pool.from_body(body)
    try:
        status = PoolStatus.model_validate(pool.status)
    except ValidationError:
        return Row(pool.namespace, pool.name, trouble="status of another version")
    if not status.conditions:
        return Row(pool.namespace, pool.name, trouble="no status yet")
    llm = status.llm or LlmStatus()
    return Row(
        namespace=pool.namespace,
        name=pool.name,
        sample=Sample(llm.used_tokens_per_minute, status.backlog, status.replicas),
        ready=status.ready_replicas,
        desired=status.desired_replicas,
        limited_by=status.limited_by,
        binding=status.binding_llm,
        limit=llm.limit_tokens_per_minute,
        headroom=llm.headroom_tokens_per_minute,
        trouble=next(
            (
                str(one.reason)
                for one in status.conditions
                if one.type is ConditionType.READY and one.status != "True"
            ),
            "",
        ),
    )


def remember(before: History, rows: Iterable[Row]) -> History:
    """Return the history with one sample more of each pool; a pool that is gone is forgotten."""
    return {one.key: (*before.get(one.key, ()), one.sample)[-HISTORY_LENGTH:] for one in rows}


def sparkline(values: Iterable[int | None], full: int | None = None) -> str:
    """Return a column for each value, the lowest for 0 and the highest for `full` or more.

    Without `full` the largest value is. What is unknown is left blank, and whatever is above 0 is
    seen to be.
    """
    known = list(values)
    top = full or max((value for value in known if value is not None), default=0)
    return "".join(NOTHING_KNOWN if value is None else _block(value, top) for value in known)


def _block(value: int, top: int) -> str:
    if value <= 0 or top <= 0:
        return BLOCKS[0]
    highest = len(BLOCKS) - 1
    return BLOCKS[min(max(round(value / top * highest), 1), highest)]
