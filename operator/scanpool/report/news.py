"""Whether a new status is worth a write: a steady pool must cost the API server nothing.

Each field says by annotation when a change of it is noise (`report.pool_status`): a figure that
moved a little, and words that only repeat such a figure. Every other change is news.
"""

from functools import cache
from typing import Any

from pydantic import BaseModel

from scanpool.models.figures import ALWAYS, NEVER, Around, Figure, Noise, Same
from scanpool.models.llm import ONLY
from scanpool.report.pool_status import PoolStatus


def is_news(previous: PoolStatus, current: PoolStatus) -> bool:
    """Tell whether the status shows something else than the one before, noise aside.

    Each of several limits is compared as the only one: what a rate means depends on its limit.
    """
    new, old = _by_limit(current), _by_limit(previous)
    return new.keys() != old.keys() or any(
        not _is_same(new[name], old[name], ALWAYS, Around(*pair, *pair))
        for name in new
        for pair in [(new[name], old[name])]
    )


def _by_limit(status: PoolStatus) -> dict[str, PoolStatus]:
    """Return the status with each of its limits; the one that binds is told beside them again."""
    if status.llms is None:
        return {ONLY: status}
    alone = status.model_copy(update={"llm": None, "llms": None})
    limits = {one.name: PoolStatus(llm=one) for one in status.llms}
    return {ONLY: alone, **limits}


def _is_same(new: Any, old: Any, rule: Same, around: Around) -> bool:
    # What is equal is the same by every rule, and soon seen.
    if new is old or new == old:
        return True
    match new, old:
        case BaseModel(), BaseModel():
            around = around._replace(new=new, old=old)
            return all(
                _is_same(its, was, one, around)
                for name, one in _rules(type(new))
                # Most of a steady pool's status is the same object: not even a call for that.
                if (its := getattr(new, name)) is not (was := getattr(old, name))
            )
        case tuple(), tuple() if rule is ALWAYS:
            pairs = zip(new, old, strict=False)
            return len(new) == len(old) and all(_is_same(*pair, rule, around) for pair in pairs)
    return rule(new, old, around)


@cache
def _rules(model: type[BaseModel]) -> tuple[tuple[str, Same], ...]:
    """Return the rule of each field that may be news; there are as many models as a status has."""
    found = ((name, _rule(field.metadata)) for name, field in model.model_fields.items())
    return tuple((name, rule) for name, rule in found if rule is not NEVER)


def _rule(metadata: list[Any]) -> Same:
    return next((one.is_same for one in metadata if isinstance(one, Figure | Noise)), ALWAYS)
