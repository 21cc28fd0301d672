"""Pools of several limits: the smallest ceiling counts, a breaker stops what needs its limit."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import API_KEY, NOW, depth, llm, observe, pool, rates, seen, settled, think
from scanpool.decide import Memory, after_scaling, checkpoint, restore
from scanpool.decide.breaker import Breaker, Quota
from scanpool.decide.decision import Decision
from scanpool.decide.memory import LlmMemory
from scanpool.decide.mix import LEAST_TOKENS
from scanpool.models.conditions import LimitedBy
from scanpool.models.llm import ONLY, Llm, NamedLlm, OnQuotaExhausted
from scanpool.models.observation import Observation, ProviderState, QueueDepth, of_limits
from scanpool.models.reading import Reading
from scanpool.models.spec import Cost, PoolSpec, Queue
from strategies import Scenario, scenarios
from strategies import specs as any_specs

GPT, GEMINI = "gpt", "gemini"
SCAN, CHAT, RULE = "scan.vision", "chat.process", "scan.rule"
BILLED = seen(ProviderState(billing_code="insufficient_quota"))


def queue(name: str, per_replica: int = 10, **tokens: int) -> Queue:
    """Build a queue that costs so many tokens of the limits of these names."""
    costs = tuple(Cost(llm=limit, per_message=each) for limit, each in tokens.items())
    return Queue(name=name, messages_per_replica=per_replica, tokens=costs)


QUEUES = (queue(SCAN, gpt=3_000), queue(CHAT, gemini=2_000), queue(RULE))


def named(name: str, **changes: Any) -> NamedLlm:
    """Build a limit: 2 M TPM to 85%, half a million per replica, so three replicas of it."""
    return NamedLlm(name=name, **llm(**changes).model_dump())


def several(*limits: NamedLlm, queues: tuple[Queue, ...] = QUEUES, **changes: Any) -> PoolSpec:
    return pool(*queues, llms=limits or (named(GPT), named(GEMINI)), **changes)


def beside(
    replicas: int,
    depths: dict[str, int],
    acked: dict[str, float] | None = None,
    **provider: Reading[ProviderState],
) -> Observation:
    """Return what is seen of queues with so many messages, and of each limit's provider."""
    queues = seen(tuple(QueueDepth(name, count, 0) for name, count in depths.items()))
    worked_off = seen(tuple(rates((acked or {}).get(name, 0.0), name) for name in depths))
    whole = observe(replicas, queues=queues, rates=worked_off)
    limits = {name: replace(whole, provider=provider.get(name)) for name in (GPT, GEMINI)}
    return of_limits(limits)


def after(spec: PoolSpec, observation: Observation, **llms: LlmMemory) -> Decision:
    """Decide for a pool that has long had its replicas."""
    known = replace(settled(observation.target.replicas), llms=llms)
    return think(spec, observation, known).decision


WAITING = {SCAN: 100, CHAT: 100, RULE: 0}


@pytest.mark.parametrize(
    ("gpt", "gemini", "desired", "binding"),
    [
        pytest.param({"tokens_per_minute": 3_000_000}, {}, 3, GEMINI, id="the-second"),
        pytest.param({}, {"tokens_per_minute": 3_000_000}, 3, GPT, id="the-first"),
        pytest.param({}, {"requests_per_minute": 600}, 2, GEMINI, id="by-requests"),
        pytest.param({"tokens_per_replica_minute": 200_000}, {}, 3, GEMINI, id="by-cost"),
        pytest.param({"tokens_per_replica_minute": None}, {}, 2, GPT, id="by-an-unknown-cost"),
        pytest.param({}, {}, 3, GPT, id="of-equal-ones-the-first"),
    ],
)
def test_the_smallest_ceiling_counts_and_is_named(
    gpt: dict[str, Any], gemini: dict[str, Any], desired: int, binding: str
) -> None:
    spec = several(named(GPT, **gpt), named(GEMINI, **gemini))
    # Half a million of Gemini is 250 messages of CHAT.
    decision = after(spec, beside(2, WAITING))

    assert (decision.desired, decision.tightest) == (desired, binding)
    limit = decision.limited_by
    assert limit in (LimitedBy.TOKENS, LimitedBy.REQUESTS)
    assert decision.ceilings[limit].reason.startswith(f"{binding}: ")
    assert decision.reason.startswith(f"{binding}: ")
    assert set(decision.llms) == {GPT, GEMINI}


def test_each_binds_in_its_turn() -> None:
    found = []
    for limits in ((1_200_000, 2_000_000), (2_000_000, 1_200_000), (4_000_000, 6_000_000)):
        one, other = limits
        spec = several(named(GPT, tokens_per_minute=one), named(GEMINI, tokens_per_minute=other))
        decision = after(spec, beside(2, WAITING))
        allowed = {
            name: made.ceilings[LimitedBy.TOKENS].replicas for name, made in decision.llms.items()
        }
        found.append((decision.tightest, decision.desired, allowed))
    assert found == [
        (GPT, 2, {GPT: 2, GEMINI: 3}),
        (GEMINI, 2, {GPT: 3, GEMINI: 2}),
        (GPT, 6, {GPT: 6, GEMINI: 10}),
    ]


@pytest.mark.parametrize(
    ("depths", "acked", "desired"),
    [
        pytest.param({SCAN: 0, CHAT: 100, RULE: 0}, {CHAT: 1.0}, 3, id="unused"),
        pytest.param({SCAN: 1, CHAT: 100, RULE: 0}, {CHAT: 1.0}, 2, id="a-message-waits"),
        pytest.param({SCAN: 0, CHAT: 100, RULE: 0}, {SCAN: 0.1}, 2, id="used-a-moment-ago"),
    ],
)
def test_a_limit_that_nothing_uses_does_not_bind(
    depths: dict[str, int], acked: dict[str, float], desired: int
) -> None:
    spec = several(named(GPT, tokens_per_minute=1_200_000), named(GEMINI))
    assert after(spec, beside(2, depths, acked)).desired == desired


def test_what_one_limit_takes_is_not_claimed_of_the_other() -> None:
    spec = several(named(GPT, tokens_per_minute=1_200_000), named(GEMINI))
    claims = after(spec, beside(2, WAITING)).claims
    assert {name: of_keys[ONLY].wanted for name, of_keys in claims.items()} == {GPT: 3, GEMINI: 2}


# --- The breaker of one of them ---


@pytest.mark.parametrize(
    ("choice", "depths", "desired"),
    [
        (OnQuotaExhausted.SCALE_TO_ZERO, {SCAN: 90, CHAT: 20, RULE: 0}, 2),
        (OnQuotaExhausted.SCALE_TO_ZERO, {SCAN: 90, CHAT: 0, RULE: 15}, 2),
        (OnQuotaExhausted.SCALE_TO_ZERO, {SCAN: 90, CHAT: 0, RULE: 0}, 0),
        (OnQuotaExhausted.SCALE_TO_MIN, {SCAN: 90, CHAT: 0, RULE: 0}, 1),
        (OnQuotaExhausted.SCALE_TO_MIN, {SCAN: 90, CHAT: 30, RULE: 0}, 3),
        (OnQuotaExhausted.HOLD, {SCAN: 90, CHAT: 0, RULE: 0}, 3),
    ],
)
def test_a_breaker_leaves_the_replicas_that_the_other_queues_ask_for(
    choice: OnQuotaExhausted, depths: dict[str, int], desired: int
) -> None:
    spec = several(named(GPT, on_quota_exhausted=choice), named(GEMINI))
    open_ = LlmMemory(breaker=Breaker(Quota.OPEN, "insufficient_quota", NOW - 60, 1))
    decision = after(spec, beside(3, depths, {SCAN: 1.0, CHAT: 1.0}, gpt=BILLED), gpt=open_)

    assert decision.desired == desired
    assert decision.breaker is not None
    assert decision.breaker.cap is not None
    told = decision.breaker.cap.reason
    assert told.startswith("gpt: the provider refuses every call (insufficient_quota)")
    fate = "fail in the workers that run" if desired else "wait"
    assert told.endswith(
        f"needed by scan.vision, whose messages {fate}, while chat.process and scan.rule go on"
    )


@pytest.mark.parametrize(
    ("queues", "desired", "words"),
    [
        pytest.param(
            (queue(SCAN, gpt=1, gemini=1), queue(CHAT, gemini=1)), 4,
            "needed by scan.vision, whose messages fail in the workers that run, "
            "while chat.process goes on", id="needs-both",
        ),
        pytest.param(
            (queue(SCAN, gpt=1), queue(CHAT, gpt=1, gemini=1)), 0,
            "needed by scan.vision and chat.process, whose messages wait", id="all-need-it",
        ),
        pytest.param(
            (queue(SCAN), queue(CHAT, gemini=1)), 0,
            "needed by scan.vision and chat.process, whose messages wait",
            id="nobody-says-who-needs-it",
        ),
    ],
)  # fmt: skip
def test_who_needs_a_limit_is_what_the_queues_say(
    queues: tuple[Queue, ...], desired: int, words: str
) -> None:
    to_zero = OnQuotaExhausted.SCALE_TO_ZERO
    limits = named(GPT, on_quota_exhausted=to_zero), named(GEMINI, tokens_per_minute=10_000_000)
    spec = several(*limits, queues=queues)
    observation = beside(4, {SCAN: 40, CHAT: 40}, gpt=BILLED)
    decision = after(spec, observation)

    assert decision.desired == desired
    assert decision.breaker is not None
    assert decision.breaker.cap is not None
    assert decision.breaker.cap.reason.endswith(words)


def test_where_all_limits_are_refused_nothing_goes_on() -> None:
    to_zero = {"on_quota_exhausted": OnQuotaExhausted.SCALE_TO_ZERO}
    spec = several(named(GPT, **to_zero), named(GEMINI, **to_zero))
    observation = beside(3, WAITING | {RULE: 40}, gpt=BILLED, gemini=BILLED)
    assert after(spec, observation).desired == 0


def test_an_unknown_depth_takes_no_replica_from_the_other_queues() -> None:
    spec = several(named(GPT, on_quota_exhausted=OnQuotaExhausted.SCALE_TO_ZERO), named(GEMINI))
    blind = beside(3, WAITING, gpt=BILLED)
    limits = {name: replace(one, queues=observe(3).queues) for name, one in blind.by_limit.items()}
    assert after(spec, of_limits(limits)).desired == 3


def test_replicas_follow_the_other_queues_down_through_the_stabilization_window() -> None:
    """A burst that is over takes no replica at once, though the breaker alone would."""
    spec = several(named(GPT, on_quota_exhausted=OnQuotaExhausted.SCALE_TO_ZERO), named(GEMINI))
    known, replicas, course = settled(3), 3, []
    for seconds in range(0, 601, 10):
        depths = {SCAN: 90, CHAT: 30 if seconds < 60 else 10, RULE: 0}
        thought = think(
            spec, beside(replicas, depths, {CHAT: 1.0}, gpt=BILLED), known, NOW + seconds
        )
        known, desired = thought.memory, thought.decision.desired
        if desired != replicas:
            known = after_scaling(known, replicas, desired, NOW + seconds)
            course.append((seconds, desired))
            replicas = desired
    assert course == [(360, 1)]


def test_what_is_known_of_each_survives_the_process() -> None:
    known = Memory(
        llms={
            GPT: LlmMemory(breaker=Breaker(Quota.OPEN, "insufficient_quota", NOW - 60, 3)),
            GEMINI: LlmMemory(),
        }
    )
    back = restore(checkpoint(known), NOW)
    assert back.of(GPT) == known.of(GPT)
    assert back.of(GEMINI) == LlmMemory()
    assert back.llm == LlmMemory()


# --- Whatever the pool and its limits ---


def as_one_of_llms(spec: PoolSpec) -> PoolSpec:
    """Return the same pool with its llm as the only one of llms."""
    assert spec.llm is not None
    queues = tuple(
        queue(one.name, one.messages_per_replica, gpt=one.tokens_per_message)
        for one in spec.rabbitmq.queues
    )
    return spec.model_copy(
        update={
            "llm": None,
            "llms": (NamedLlm(name=GPT, **spec.llm.model_dump()),),
            "rabbitmq": spec.rabbitmq.model_copy(update={"queues": queues}),
        }
    )


@given(scenarios(any_specs.filter(lambda spec: spec.llm is not None)))
def test_one_limit_of_llms_is_as_good_as_llm(scenario: Scenario) -> None:
    spec, observation, known = scenario
    alone = think(spec, observation, known)
    listed = replace(known, llms={GPT: known.llm})
    named_one = think(as_one_of_llms(spec), observation, listed)

    one, other = alone.decision, named_one.decision
    assert (one.desired, one.limited_by, one.demand) == (
        other.desired, other.limited_by, other.demand,
    )  # fmt: skip
    assert one.llm == other.llm
    assert named_one.memory.llms == {GPT: alone.memory.llm}
    assert [step.after for step in one.steps] == [step.after for step in other.steps]
    assert named_one.signals.gaps == alone.signals.gaps


limits_of_llms = st.builds(
    Llm,
    model=st.just("gpt-5.2"),
    api_key_secret_ref=st.just(API_KEY),
    tokens_per_minute=st.integers(1, 8_000_000),
    requests_per_minute=st.none() | st.integers(1, 10_000),
    tokens_per_replica_minute=st.integers(1, 1_000_000),
)


@given(
    st.lists(limits_of_llms, min_size=2, max_size=4),
    st.lists(st.sampled_from([0, 500, 3_000]), min_size=4, max_size=4),
    st.integers(1, 30),
    st.integers(0, 2_000),
    st.floats(0, 20),
)
def test_several_limits_allow_no_more_than_any_that_is_used(
    drawn: list[Llm], prices: list[int], replicas: int, messages: int, acked: float
) -> None:
    limits = [
        NamedLlm(name=f"limit-{number}", **one.model_dump()) for number, one in enumerate(drawn)
    ]
    costs = {one.name: price for one, price in zip(limits, prices, strict=False)}
    whole = pool(queue(SCAN, **costs), llms=tuple(limits), max_replicas=30)
    observation = observe(
        replicas, queues=seen((depth(messages, 0, SCAN),)), rates=seen((rates(acked, SCAN),))
    )
    seen_of_all = of_limits({one.name: observation for one in limits})
    together = think(whole, seen_of_all, settled(replicas)).decision

    for one in limits:
        # Less than a token a minute is an old rate that dies away.
        is_used = messages > 0 or acked * 60 * costs[one.name] >= LEAST_TOKENS
        if costs[one.name] and is_used:
            alone = think(whole.only(one.name), observation, settled(replicas)).decision
            assert together.desired <= alone.desired
            found = together.llms[one.name].ceilings
            assert found == alone.llms[""].ceilings
