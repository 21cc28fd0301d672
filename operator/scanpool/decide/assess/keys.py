"""What the provider says with several keys of one model, taken together: their limits add up.

its breaker | its answer now       | the key
Closed      | answered             | counts: it adds its part
Closed      | refused for billing  | does not: its part is gone at once
Closed      | missing              | counts, but how much is unknown: the answer of all is missing
Open        | any                  | does not count, and is not missed
HalfOpen    | any                  | the same, unless none counts: then it is tried, and counts

Where none is left the refusal is the answer of all. Calls are taken to be spread over the keys as
their limits are, so that the levels of their buckets add up, too.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scanpool.decide import limits
from scanpool.decide.breaker import Breaker, Quota
from scanpool.models.claims import Unit
from scanpool.models.llm import Llm
from scanpool.models.observation import LIMIT_FIELDS, ProviderState
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.today import Today

Answers = Mapping[str, Reading[ProviderState]]
Parts = Mapping[str, Mapping[Unit, int]]


class Together(NamedTuple):
    """What the keys come to: one answer, and the part of the limits that each adds.

    `answers` are those of all keys; those without a part do not count.
    """

    answer: Reading[ProviderState]
    answers: Answers
    parts: Parts


def together(llm: Llm, found: Reading[Answers], breakers: Mapping[str, Breaker]) -> Together:
    """Return what the keys of a limit come to, by their breakers as of the tick before."""
    answers = found.value if isinstance(found, Available) else dict.fromkeys(llm.key_refs, found)
    counted = _counted(answers, breakers)
    if not counted:
        return Together(_refused(answers), answers, {})
    told, missing = {}, None
    for name in counted:
        answer = answers[name]
        if isinstance(answer, Unavailable):
            missing = missing or answer
        else:
            told[name] = answer
    parts = {name: _part(llm, told[name].value) if name in told else {} for name in counted}
    if missing is not None:
        return Together(missing, answers, parts)
    first = next(iter(told.values()))
    # The oldest: a later answer is one in which each of them has answered again.
    at = min(answer.at for answer in told.values())
    whole = _sum(llm, [answer.value for answer in told.values()])
    return Together(Available(whole, at, first.source), answers, parts)


def unprobed(llm: Llm) -> Parts:
    """Return the parts of keys that nobody asks: what the spec says of each."""
    return {name: limits.declared(llm) for name in llm.key_refs}


def _counted(answers: Answers, breakers: Mapping[str, Breaker]) -> Sequence[str]:
    """Return the keys that count: those that are paid, else those that are tried again."""
    left = {
        name: breakers.get(name, Breaker()).state
        for name, answer in answers.items()
        if isinstance(answer, Unavailable) or answer.value.refused_with is None
    }
    paid = [name for name, state in left.items() if state is Quota.CLOSED]
    return paid or [
        name
        for name, state in left.items()
        if state is Quota.HALF_OPEN or isinstance(answers[name], Available)
    ]


def _refused(answers: Answers) -> Reading[ProviderState]:
    """Return the refusal, the newest first, or why not even that is known."""
    refused = [answer for answer in answers.values() if isinstance(answer, Available)]
    if refused:
        return max(refused, key=lambda answer: answer.at)
    return next(iter(answers.values()))


def _part(llm: Llm, state: ProviderState) -> Mapping[Unit, int]:
    """Return the limits of one key: of what it is told and what the spec says the smaller."""
    declared = limits.declared(llm)
    found = {}
    for unit in Unit:
        known = [one for one in (state.limit(unit), declared.get(unit)) if one is not None]
        if known:
            found[unit] = min(known)
    return found


def _sum(llm: Llm, states: Sequence[ProviderState]) -> ProviderState:
    """Return what keys that are paid are told together; what one of them is not told is unknown."""
    spent = [one.tokens_spent for one in states if one.tokens_spent is not None]
    whole: dict[str, Any] = {LIMIT_FIELDS[unit]: _limit(llm, unit, states) for unit in Unit}
    levels = [one.tokens_remaining for one in states]
    is_all = whole[LIMIT_FIELDS[Unit.TOKENS]] == _added([one.tokens_per_minute for one in states])
    return ProviderState(
        **whole,
        tokens_remaining=_added(levels) if is_all else None,
        tokens_today=_today([one.tokens_today for one in states]),
        requests_today=_today([one.requests_today for one in states]),
        tokens_spent=sum(spent) if spent else None,
        rate_limited=any(one.rate_limited for one in states),
        slow_down=any(one.slow_down for one in states),
    )


def _limit(llm: Llm, unit: Unit, states: Sequence[ProviderState]) -> int | None:
    """Return the limits of all keys together; None if that of one is unknown, or nobody tells any.

    What the spec says is of each key. Where it caps some and not others, the sum is capped here;
    where it caps all or none, it is compared with the sum, as with the limit of a single key.
    """
    told = [one.limit(unit) for one in states]
    declared = limits.declared(llm).get(unit)
    if all(one is None for one in told):
        return None
    if declared is None:
        return _added(told)
    known = [declared if one is None else one for one in told]
    capped = sum(min(one, declared) for one in known)
    return sum(known) if min(sum(known), declared * len(known)) == capped else capped


def _added(told: Sequence[int | None]) -> int | None:
    known = [one for one in told if one is not None]
    return sum(known) if len(known) == len(told) else None


def _today(told: Sequence[Today | None]) -> Today | None:
    """Return what is left of a day with all keys, until the last of them is whole again."""
    known = [one for one in told if one is not None]
    if len(known) < len(told):
        return None
    ends = [one.ends_at for one in known if one.ends_at is not None]
    left = sum(one.left for one in known)
    return Today(left, max(ends) if len(ends) == len(known) else None)
