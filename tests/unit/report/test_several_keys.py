"""What a person sees of several keys: each one's part, and which of them nobody pays."""

from typing import Any

import pytest

from builders import NOW, Thought, depth, llm, observe, pool, seen, settled, think
from scanpool.decide.breaker import Breaker, Quota
from scanpool.models.conditions import ConditionType, Reason
from scanpool.models.fields import SecretKeyRef
from scanpool.models.observation import ProviderState
from scanpool.report import llm as report
from scanpool.report import unpaid_keys
from scanpool.report.conditions import ConditionState, of_tick
from scanpool.report.pool_status import KeyStatus

A, B, C = NAMES = ("one/KEY", "two/KEY", "three/KEY")
SPEC = pool(
    llm=llm(
        tokens_per_minute=None,
        api_key_secret_refs=tuple(
            SecretKeyRef(name=name.removesuffix("/KEY"), key="KEY") for name in NAMES
        ),
    )
)
ANSWERED = ProviderState(tokens_per_minute=1_000_000)
APART = ProviderState(input_tokens_per_minute=800_000, output_tokens_per_minute=200_000)
BILLED = ProviderState(billing_code="insufficient_quota")
NOT_TOLD = ProviderState()


def after(**states: ProviderState) -> Thought:
    answers = {f"{name}/KEY": seen(state) for name, state in states.items()}
    found = observe(1, queues=seen((depth(100, 0),)), keys=seen(answers))
    return think(SPEC, found, settled(1))


def shown(thought: Thought) -> tuple[KeyStatus, ...]:
    found = report.of_tick(thought.decision, thought.signals)
    assert found is not None
    assert found.by_key is not None
    return found.by_key


def condition(thought: Thought) -> ConditionState:
    found = of_tick(SPEC, thought.signals, thought.decision, None)
    return found[ConditionType.QUOTA_EXHAUSTED]


def status(name: str, part: int | None, quota: Quota = Quota.CLOSED, **more: Any) -> KeyStatus:
    return KeyStatus(name=name, part_tokens_per_minute=part, quota=quota, **more)


def test_each_key_is_shown_with_what_it_adds() -> None:
    assert shown(after(one=ANSWERED, two=APART, three=BILLED)) == (
        status(A, 1_000_000),
        status(B, 1_000_000),
        status(C, 0, Quota.OPEN, quota_code="insufficient_quota"),
    )
    assert shown(after(one=ANSWERED, two=NOT_TOLD))[1] == status(B, None)


def test_a_pool_of_one_key_shows_no_parts() -> None:
    thought = think(pool(llm=llm()), observe(1, 20), settled(1))
    found = report.of_tick(thought.decision, thought.signals)
    assert found is not None
    assert found.by_key is None


@pytest.mark.parametrize(
    ("states", "expected", "named"),
    [
        pytest.param(
            {"one": ANSWERED, "two": BILLED, "three": ANSWERED},
            ("False", Reason.KEY_QUOTA_EXHAUSTED),
            [f"{B} (insufficient_quota)", "goes on with 2 other keys"],
            id="one-unpaid",
        ),
        pytest.param(
            {"one": BILLED, "two": BILLED, "three": ANSWERED},
            ("False", Reason.KEY_QUOTA_EXHAUSTED),
            [f"{A} (insufficient_quota) and {B} (insufficient_quota)", "with 1 other key"],
            id="two-unpaid",
        ),
        pytest.param(
            {"one": BILLED, "two": BILLED, "three": BILLED},
            ("True", Reason.QUOTA_EXHAUSTED),
            ["insufficient_quota", "top up the account"],
            id="none-paid",
        ),
        pytest.param(
            {"one": ANSWERED, "two": ANSWERED},
            ("False", Reason.QUOTA_AVAILABLE),
            [],
            id="all-paid",
        ),
    ],
)
def test_the_condition_names_the_keys_that_nobody_pays(
    states: dict[str, ProviderState], expected: tuple[str, Reason], named: list[str]
) -> None:
    found = condition(after(**states))
    assert (found.status, found.reason) == expected
    assert [part for part in named if part not in found.message] == []


def test_a_key_that_is_tried_again_and_one_that_ends_are_told() -> None:
    until = Breaker(Quota.OPEN, "requests per day", until=NOW)
    told = unpaid_keys.words({A: Breaker(), B: Breaker(Quota.HALF_OPEN), C: until})
    assert told == (
        f"the provider refuses every call with {C} (requests per day until 2027-01-15T08:00:00Z): "
        "top up the account or raise its budget; that part of the limit comes back by itself; "
        f"the provider answers {B} again: that part of the limit counts once another probe is "
        "answered; the pool goes on with 1 other key"
    )
    assert unpaid_keys.words({A: Breaker(), B: Breaker()}) is None
