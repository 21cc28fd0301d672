"""The rules that hold whatever a pool is, sees and remembers; each test is named after its rule."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import NOW, blinded, follow, seen, settled, target, think, token_ceiling, unseen
from scanpool.decide import Memory, after_scaling, checkpoint, restore
from scanpool.decide.behavior import Recommendation, scale_down_window
from scanpool.decide.breaker import Quota
from scanpool.decide.decision import Ceiling, Decision
from scanpool.decide.memory import Checkpoint
from scanpool.models.conditions import LimitedBy, Reason
from scanpool.models.fallback import Fallback
from scanpool.models.llm import ONLY, OnQuotaExhausted
from scanpool.models.observation import Observation, QueueDepth
from scanpool.models.reading import Available, Unavailable
from scanpool.models.spec import Behavior, MemoryTarget, PoolSpec
from strategies import (
    MOST_REPLICAS,
    Scenario,
    costs,
    depths_of,
    memories,
    observations,
    paying_specs,
    replicas,
    scenarios,
    scenarios_with_gaps,
    tokens_per_minute,
    uncapped_specs,
    watched_specs,
)

POLLING_SECONDS = 15
# What has to be unread for every ceiling to be unknown, so that none hides another.
ALL_CEILINGS = ("usage", "nodes")


def decided(scenario: Scenario) -> Decision:
    return think(*scenario, NOW).decision


def known_ceilings(decision: Decision) -> list[Ceiling]:
    return [one for one in decision.ceilings.values() if one.replicas is not None]


def bounded(scenario: Scenario, replicas: int | None = None) -> int:
    """Return so many replicas, by default those that there are, within the pool's bounds."""
    spec, there = scenario.spec, scenario.observation.target.replicas
    return min(max(there if replicas is None else replicas, spec.min_replicas), spec.max_replicas)


def most_by_fallback(scenario: Scenario) -> int:
    """Return the most replicas that a pool may have while the depth of its queues is unknown."""
    current, fallback = scenario.observation.target.replicas, scenario.spec.fallback
    if fallback is None or isinstance(scenario.observation.queues, Available):
        return bounded(scenario)
    return bounded(scenario, max(current, fallback.replicas))


def caught(scenario: Scenario, state: Quota) -> Scenario:
    """Let the breaker be in a state since after the last answer."""
    memory = scenario.memory
    breaker = replace(memory.llm.breaker, state=state, since=NOW + 1)
    return scenario._replace(
        memory=replace(memory, llms={ONLY: replace(memory.llm, breaker=breaker)})
    )


def full(observation: Observation) -> Observation:
    """Let the provider tell a full bucket now, where it tells a limit."""
    answer = observation.provider
    if not isinstance(answer, Available) or answer.value.tokens_per_minute is None:
        return observation
    told = replace(answer.value, tokens_remaining=answer.value.tokens_per_minute)
    return replace(observation, provider=replace(answer, value=told, at=NOW))


def eager(scenario: Scenario) -> Scenario:
    """Give the pool a fallback that asks for as much as it can as soon as it may."""
    fallback = Fallback(failure_threshold=1, replicas=MOST_REPLICAS)
    return scenario._replace(spec=scenario.spec.model_copy(update={"fallback": fallback}))


# --- Hold rules ---


@given(scenarios_with_gaps())
def test_a_reading_that_fails_never_lowers_the_replicas_but_to_the_maximum(
    scenario: Scenario,
) -> None:
    assert decided(scenario).desired >= bounded(scenario)


@given(scenarios_with_gaps())
def test_a_reading_that_fails_raises_the_replicas_to_the_fallback_or_the_minimum_at_most(
    scenario: Scenario,
) -> None:
    assert decided(scenario).desired <= most_by_fallback(scenario)


@given(scenarios_with_gaps(), replicas)
def test_while_a_reading_fails_the_level_gives_back_no_more_than_was_had(
    scenario: Scenario, had: int
) -> None:
    """Whatever the bucket holds, the provider's word on it and every ceiling that is known."""
    spec, observation, memory = scenario
    past = replace(memory.history, had=Recommendation(NOW - 60, had))
    lately = Scenario(spec, full(observation), replace(memory, history=past))

    decision = decided(lately)
    most = max(most_by_fallback(scenario), bounded(scenario, had))
    assert bounded(scenario) <= decision.desired <= most
    if decision.desired > most_by_fallback(scenario):
        assert decision.desired <= min(
            one.allows(decision.current) for one in known_ceilings(decision)
        )


@given(scenarios(is_paid=True))
def test_an_unknown_depth_holds(scenario: Scenario) -> None:
    spec = scenario.spec.model_copy(update={"fallback": None})
    blind = scenario._replace(spec=spec, observation=blinded(scenario.observation, "queues"))

    decision = decided(blind)
    assert decision.desired == bounded(blind)
    off = decision.desired - decision.current
    assert decision.limited_by is (
        LimitedBy.MIN_REPLICAS if off > 0 else LimitedBy.MAX_REPLICAS if off < 0 else LimitedBy.HOLD
    )
    assert decision.demand is None


@given(
    scenarios(watched_specs, is_paid=True),
    st.sampled_from(
        [
            ("usage",),
            ("nodes",),
            ("queues", "usage"),
            ("queues", "nodes"),
            (*ALL_CEILINGS, "queues"),
        ]
    ),
)
def test_an_unknown_ceiling_never_scales_past_current_but_to_the_minimum(
    scenario: Scenario, unread: tuple[str, ...]
) -> None:
    observation = blinded(scenario.observation, *unread)

    decision = decided(eager(scenario)._replace(observation=observation))
    unknown = LimitedBy.MEMORY if "nodes" in unread else LimitedBy.TOKENS
    assert decision.ceilings[unknown].replicas is None
    assert decision.desired == bounded(scenario)


@given(scenarios(watched_specs, is_paid=True))
def test_a_pool_at_zero_whose_key_shows_no_use_yet_starts_no_more_than_one_or_its_minimum(
    scenario: Scenario,
) -> None:
    unused = replace(scenario.observation, usage=unseen(Reason.USAGE_NOT_FOUND), target=target(0))

    decision = decided(scenario._replace(observation=unused))
    assert decision.desired <= max(1, scenario.spec.min_replicas)


@given(scenarios(is_paid=True), st.data())
def test_a_missing_queue_is_not_an_empty_queue(scenario: Scenario, data: st.DataObject) -> None:
    """The pool holds, where with that queue empty it would go by the others."""
    gone = replace(scenario.observation, queues=unseen(Reason.QUEUE_NOT_FOUND))
    decision = decided(scenario._replace(observation=gone))
    assert decision.demand is None
    assert decision.desired >= bounded(scenario)

    queues = scenario.observation.queues
    assert isinstance(queues, Available)
    lost = data.draw(st.sampled_from(queues.value))
    partial = seen(tuple(one for one in queues.value if one != lost))
    with pytest.raises(KeyError):
        decided(scenario._replace(observation=replace(scenario.observation, queues=partial)))


@given(scenarios(uncapped_specs, is_paid=True))
def test_zero_and_unknown_differ(scenario: Scenario) -> None:
    """Empty queues take a calm pool down as far as it goes; unknown ones only into its bounds."""
    spec = scenario.spec.model_copy(update={"fallback": None, "behavior": Behavior()})
    empty = tuple(QueueDepth(one.name, 0, 0) for one in spec.rabbitmq.queues)
    past = replace(
        scenario.memory.history, recommendations=settled(0).history.recommendations, scalings=()
    )
    calm = replace(scenario.memory, history=past)
    zero = Scenario(spec, replace(scenario.observation, queues=seen(empty)), calm)
    unknown = zero._replace(observation=blinded(scenario.observation, "queues"))

    assert (decided(zero).demand, decided(zero).desired) == (0, spec.min_replicas)
    assert (decided(unknown).demand, decided(unknown).desired) == (None, bounded(scenario))


@given(scenarios_with_gaps())
def test_every_gap_is_told(scenario: Scenario) -> None:
    observation = scenario.observation

    assert think(*scenario, NOW).signals.gaps == tuple(
        reading
        for reading in (
            observation.queues,
            observation.rates,
            observation.provider,
            observation.usage,
            observation.nodes,
        )
        if isinstance(reading, Unavailable)
    )


# --- Starting ---


@given(scenarios() | scenarios_with_gaps())
def test_the_first_tick_of_a_process_changes_nothing_except_by_the_bounds_and_the_breaker(
    scenario: Scenario,
) -> None:
    spec, observation, memory = eager(scenario)
    within = bounded(scenario)

    decision = think(spec, observation, restore(checkpoint(memory), NOW)).decision
    cap = None if decision.breaker is None else decision.breaker.cap
    assert decision.desired == (within if cap is None else min(within, cap.replicas))


@given(st.data())
@settings(max_examples=25)
def test_no_demand_lowers_the_replicas_before_the_down_window_has_filled_after_a_restart(
    data: st.DataObject,
) -> None:
    spec = data.draw(uncapped_specs)
    observation = data.draw(observations(spec))
    memory = restore(checkpoint(data.draw(memories())), NOW)
    before = min(observation.target.replicas, spec.max_replicas)

    for second in range(0, scale_down_window(spec.behavior), POLLING_SECONDS):
        observation = replace(observation, queues=seen(data.draw(depths_of(spec))))
        observation, memory, decision = tick(spec, observation, memory, NOW + second)
        assert decision.desired >= before


# --- The ladder ---


@given(scenarios(is_paid=True) | scenarios_with_gaps(), st.booleans())
def test_the_replicas_stay_within_min_and_max_whatever_is_known(
    scenario: Scenario, is_first: bool
) -> None:
    if is_first:
        scenario = scenario._replace(memory=restore(checkpoint(scenario.memory), NOW))

    assert scenario.spec.min_replicas <= decided(scenario).desired <= scenario.spec.max_replicas


@given(scenarios(is_paid=True))
def test_the_replicas_stay_below_every_ceiling_but_for_the_floor(scenario: Scenario) -> None:
    decision = decided(scenario)

    for one in known_ceilings(decision):
        assert decision.desired <= max(one.allows(decision.current), scenario.spec.min_replicas)


@given(scenarios(is_paid=True))
def test_growth_stays_below_the_raising_edge_of_every_ceiling_but_for_the_floor(
    scenario: Scenario,
) -> None:
    decision = decided(scenario)

    for one in known_ceilings(decision):
        most = max(one.replicas or 0, decision.current, scenario.spec.min_replicas)
        assert decision.desired <= most


@given(scenarios(is_paid=True))
def test_ceilings_never_raise(scenario: Scenario) -> None:
    uncapped = {"llm": None, "memory": MemoryTarget(enabled=False)}
    free = scenario._replace(spec=scenario.spec.model_copy(update=uncapped))

    assert decided(scenario).desired <= decided(free).desired


@given(scenarios(paying_specs) | scenarios_with_gaps(paying_specs), st.sampled_from(Quota))
def test_the_breaker_never_raises(scenario: Scenario, quota: Quota) -> None:
    free = caught(scenario, Quota.CLOSED)

    assert decided(caught(scenario, quota)).desired <= decided(free).desired


@given(scenarios(paying_specs) | scenarios_with_gaps(paying_specs))
def test_an_open_breaker_with_scale_to_zero_is_zero_whatever_else(scenario: Scenario) -> None:
    assert scenario.spec.llm is not None
    to_zero = {"on_quota_exhausted": OnQuotaExhausted.SCALE_TO_ZERO}
    spec = scenario.spec.model_copy(update={"llm": scenario.spec.llm.model_copy(update=to_zero)})

    decision = decided(caught(scenario._replace(spec=spec), Quota.OPEN))
    assert decision.breaker is not None
    assert (decision.breaker.state, decision.desired) == (Quota.OPEN, 0)


@given(scenarios() | scenarios_with_gaps())
def test_the_steps_chain_from_the_current_replicas_to_the_desired(scenario: Scenario) -> None:
    decision = decided(scenario)
    steps = decision.steps

    assert steps[0].before == decision.current == scenario.observation.target.replicas
    assert [step.before for step in steps[1:]] == [step.after for step in steps[:-1]]
    assert steps[-1].after == decision.desired
    assert all(step.reason for step in steps)
    assert decision.reason in {step.reason for step in steps}


@given(scenarios() | scenarios_with_gaps())
def test_a_pool_is_limited_by_nothing_exactly_if_it_gets_what_its_queues_ask_for(
    scenario: Scenario,
) -> None:
    decision = decided(scenario)
    if decision.steps[0].step == "hold":
        assert decision.limited_by is not LimitedBy.NONE
    else:
        asked = next(step.after for step in decision.steps if step.step == "tolerance")
        assert (decision.limited_by is LimitedBy.NONE) == (decision.desired == asked)


@given(scenarios() | scenarios_with_gaps())
def test_the_same_arguments_give_the_same_answer_and_stay_as_they_were(
    scenario: Scenario,
) -> None:
    before = deepcopy(scenario)

    assert think(*scenario, NOW) == think(*before, NOW)
    assert scenario == before


# --- The token ceiling ---

percents = st.integers(1, 100)
shares = st.floats(0.2, 1.0)
uses = st.floats(0, 4e6)


def allowed(
    limit: int, others: float, cost: float, percent: int, factor: float, current: int
) -> int:
    return token_ceiling(limit, others, cost, percent, factor, current).allows(current)


@given(tokens_per_minute, tokens_per_minute, uses, costs, percents, shares, replicas)
def test_more_limit_never_lowers_the_token_ceiling(
    limit: int, more: int, others: float, cost: float, percent: int, factor: float, current: int
) -> None:
    assert allowed(limit, others, cost, percent, factor, current) <= allowed(
        limit + more, others, cost, percent, factor, current
    )


@given(tokens_per_minute, uses, uses, costs, percents, shares, replicas)
def test_more_use_by_others_never_raises_the_token_ceiling(
    limit: int, others: float, more: float, cost: float, percent: int, factor: float, current: int
) -> None:
    assert allowed(limit, others + more, cost, percent, factor, current) <= allowed(
        limit, others, cost, percent, factor, current
    )


@given(tokens_per_minute, uses, costs, costs, percents, shares, replicas)
def test_dearer_replicas_never_raise_the_token_ceiling(
    limit: int, others: float, cost: float, more: float, percent: int, factor: float, current: int
) -> None:
    assert allowed(limit, others, cost + more, percent, factor, current) <= allowed(
        limit, others, cost, percent, factor, current
    )


@given(tokens_per_minute, uses, costs, percents, shares, shares, replicas)
def test_a_back_off_never_raises_the_token_ceiling(
    limit: int, others: float, cost: float, percent: int, one: float, other: float, current: int
) -> None:
    less, more = sorted((one, other))

    assert allowed(limit, others, cost, percent, less, current) <= allowed(
        limit, others, cost, percent, more, current
    )


@given(tokens_per_minute, uses, costs, percents, shares, replicas)
def test_what_the_ceiling_allows_to_grow_to_it_also_keeps(
    limit: int, others: float, cost: float, percent: int, factor: float, current: int
) -> None:
    grown = allowed(limit, others, cost, percent, factor, current)

    assert allowed(limit, others, cost, percent, factor, grown) == grown


# --- Restarts ---


@given(memories(), st.floats(0, 3_600))
def test_a_checkpoint_keeps_the_breaker_the_back_off_and_the_cost(
    memory: Memory, down_seconds: float
) -> None:
    back = restore(checkpoint(memory), NOW + down_seconds).llm
    before = memory.llm

    # The next answer tells of these two anew.
    assert back.breaker == replace(before.breaker, refused_at=None, suspected=False)
    assert back.backoff == before.backoff
    if before.cost.tokens is None:
        assert back.cost.tokens is None
    else:
        # Two digits are within 5%, and less than half a token of what cannot be told in tokens.
        assert back.cost.tokens == pytest.approx(before.cost.tokens, rel=0.05, abs=1)


@given(memories(), st.floats(0, 3_600))
def test_a_checkpoint_of_what_was_restored_is_the_same_checkpoint(
    memory: Memory, down_seconds: float
) -> None:
    kept = checkpoint(memory)

    assert checkpoint(restore(kept, NOW + down_seconds)) == kept
    written = kept.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert Checkpoint.model_validate(written) == kept


# --- Steadiness ---


def tick(
    spec: PoolSpec, observation: Observation, memory: Memory, now: float
) -> tuple[Observation, Memory, Decision]:
    """Decide, and let the cluster follow at once."""
    _, memory, decision = think(spec, observation, memory, now)
    if decision.desired != decision.current:
        memory = after_scaling(memory, decision.current, decision.desired, now)
        observation = follow(observation, decision.desired)
    return observation, memory, decision


def course(scenario: Scenario) -> Iterator[Decision]:
    """Decide every 15 s, for ever, while the readings stay as they are."""
    spec, observation, memory = scenario
    now = NOW
    while True:
        observation, memory, decision = tick(spec, observation, memory, now)
        yield decision
        now += POLLING_SECONDS


# What may go on for a while under constant readings: a pod per 120 s up to MOST_REPLICAS, the
# windows of up to 600 s, no growth for 900 s, and back-offs down to a fifth.
SETTLING_TICKS = (MOST_REPLICAS * 120 + 600 + 900 + 1_800) // POLLING_SECONDS
STEADY_TICKS = 50


@given(scenarios())
@settings(max_examples=10)
def test_a_pool_with_constant_readings_comes_to_rest(scenario: Scenario) -> None:
    decisions = course(scenario)
    for _ in range(SETTLING_TICKS):
        next(decisions)

    rest = next(decisions).desired
    assert [next(decisions).desired for _ in range(STEADY_TICKS)] == [rest] * STEADY_TICKS
