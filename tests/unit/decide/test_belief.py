"""Readings of use that are stuck: figures that do not move, or show nothing of what is done."""

from typing import Any

import pytest

from builders import (
    API_KEY,
    NOW,
    WHOLE_KEY,
    llm,
    memory,
    observe,
    pool,
    rates,
    seen,
    settled,
    think,
    unseen,
)
from scanpool.decide import Memory, assess
from scanpool.decide.belief import Belief, doubt, step
from scanpool.models.conditions import LimitedBy, Reason
from scanpool.models.observation import KeyUsage, Observation, ProviderState
from scanpool.models.reading import Available, Unavailable

WINDOW = 60
SPEC = pool(llm=llm(usage=WHOLE_KEY))


def doubted(
    *shown: float,
    own: float | None = None,
    is_working: bool = True,
    seconds: int = 10,
    window: int = WINDOW,
) -> list[str | None]:
    """Return for each tick what is wrong with its reading of use."""
    belief, wrong = Belief(), []
    for number, tokens in enumerate(shown):
        now = NOW + seconds * number
        belief = step(belief, tokens, own, is_working=is_working, now=now)
        wrong.append(doubt(belief, window, now))
    return wrong


def watched(*shown: float, **changes: Any) -> list[bool]:
    """Tell for each tick whether its reading of use counts."""
    return [wrong is None for wrong in doubted(*shown, **changes)]


@pytest.mark.parametrize(
    ("window", "ticks"),
    [
        pytest.param(10, 18, id="180-s"),
        pytest.param(60, 18, id="as-long-as-three-windows"),
        pytest.param(100, 30, id="three-windows"),
    ],
)
def test_a_use_that_does_not_move_is_no_reading_after_180_s_and_three_windows(
    window: int, ticks: int
) -> None:
    assert watched(*[1e6] * (ticks + 3), window=window) == [True] * ticks + [False] * 3


def test_a_use_that_moves_in_its_last_digit_is_a_reading() -> None:
    assert all(watched(*(1e6 + number % 2 * 1e-9 for number in range(60))))


def test_a_use_that_moves_again_counts_at_once() -> None:
    assert watched(*[1e6] * 19, 1e6 + 1, 1e6 + 1)[-3:] == [False, True, True]


def test_no_use_while_messages_are_worked_off_is_no_reading_after_a_while() -> None:
    assert watched(*[0.0] * 20) == [True] * 18 + [False] * 2


@pytest.mark.parametrize(
    ("own", "is_working", "counts"),
    [
        pytest.param(0.0, True, False, id="labels-that-match-nothing"),
        pytest.param(0.0, False, True, id="nothing-is-worked-off"),
        pytest.param(1.0, True, True, id="labels-that-match"),
        pytest.param(None, True, True, id="no-labels"),
    ],
)
def test_labels_that_show_no_use_while_messages_are_worked_off_are_wrong(
    own: float | None, *, is_working: bool, counts: bool
) -> None:
    """The pool's use would pass for that of others, and take its replicas away."""
    shown = (1_000_000.0 + number for number in range(20))

    wrong = doubted(*shown, own=own, is_working=is_working)[-1]
    assert (wrong is None) is counts
    assert counts or "ownLabels" in (wrong or "")


def test_no_use_while_nothing_is_worked_off_is_a_reading() -> None:
    assert all(watched(*[0.0] * 60, is_working=False))


# --- In the readings of a tick ---


def using(tokens: float, at: float = NOW, own: float | None = None) -> Available[KeyUsage]:
    return seen(KeyUsage(tokens, own_tokens_per_minute=own), at)


def gaps(*observations: Observation) -> list[tuple[Unavailable, ...]]:
    """Return the gaps of each of some ticks, ten seconds apart."""
    known, course = Memory(), []
    for number, observation in enumerate(observations):
        found = assess(SPEC, observation, known, NOW + 10 * number)
        assert found.llm is not None
        known = memory(belief=found.llm.belief)
        course.append(found.gaps)
    return course


def test_the_time_without_use_counts_from_when_messages_are_worked_off() -> None:
    course = gaps(
        *(
            observe(
                messages=0,
                usage=using(0.0, NOW + second),
                rates=seen((rates(2.0 if second >= 300 else 0.0),)),
            )
            for second in range(0, 600, 10)
        )
    )

    assert [bool(found) for found in course] == [second >= 480 for second in range(0, 600, 10)]


def test_own_use_that_is_not_known_takes_no_use_for_no_failure() -> None:
    shown = (observe(messages=0, usage=using(0.0, NOW + second)) for second in range(0, 600, 10))

    assert not any(gaps(*shown))


def test_the_pools_part_of_a_reading_is_what_its_labels_show() -> None:
    shown = [
        observe(messages=0, usage=using(1e6 + one, own=0.0), rates=seen((rates(2.0),)))
        for one in range(20)
    ]

    (stuck,) = gaps(*shown)[-1]
    assert stuck.reason is Reason.USAGE_FROZEN
    assert "ownLabels" in stuck.message


@pytest.mark.parametrize("usage", [None, unseen()])
def test_a_reading_that_is_not_there_is_not_stuck(usage: Unavailable | None) -> None:
    found = assess(SPEC, observe(messages=0, usage=usage, rates=seen((rates(2.0),))), Memory(), NOW)

    assert found.llm is not None
    assert found.llm.belief == Belief()
    assert found.gaps == (() if usage is None else (usage,))


@pytest.mark.parametrize(
    ("tokens", "words"),
    [(400_321.0, "exactly 400,321 TPM for 180 s"), (0.0, "no tokens for 180 s")],
)
def test_a_reading_that_is_stuck_holds_the_pool_and_says_so(tokens: float, words: str) -> None:
    spec, known = pool(llm=llm(usage=WHOLE_KEY, api_key_secret_ref=API_KEY)), settled(2)
    desired = []
    for second in range(0, 241, 10):
        now = NOW + second
        changed = tokens if second < 240 else tokens + 1
        told = seen(ProviderState(tokens_per_minute=2_000_000))
        observation = observe(
            2, 300, rates=seen((rates(2.0),), now), usage=using(changed, now), provider=told
        )
        found, known, decision = think(spec, observation, known, now)
        desired.append(decision.desired)
        stuck = [gap for gap in found.gaps if gap.reason is Reason.USAGE_FROZEN]
        assert bool(stuck) == (180 <= second < 240)
        if stuck:
            assert words in stuck[0].message
            assert decision.ceilings[LimitedBy.TOKENS].replicas is None

    assert desired == [3 if second < 180 or second == 240 else 2 for second in range(0, 241, 10)]
