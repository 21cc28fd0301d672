from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given

from builders import (
    API_KEY,
    NOW,
    WHOLE_KEY,
    depth,
    llm,
    node,
    observe,
    pods,
    pool,
    queue,
    rates,
    seen,
    settled,
    target,
    think,
    unseen,
)
from scanpool.decide import Memory, checkpoint
from scanpool.decide.breaker import Breaker, Quota
from scanpool.decide.bucket import Bucket, OthersUse
from scanpool.decide.cost import Learned
from scanpool.decide.observed import Change, Observed, Slot
from scanpool.decide.signals import Lack, Room
from scanpool.models import placement
from scanpool.models.base import Model
from scanpool.models.claims import Claim, Need, Unit
from scanpool.models.conditions import ConditionType, LimitedBy, Reason
from scanpool.models.error_codes import Refusals
from scanpool.models.figures import shown
from scanpool.models.observation import KeyUsage, Observation, ProviderState
from scanpool.models.pause import NO_PAUSE, SCALE_IN, Pause
from scanpool.models.reading import Unavailable
from scanpool.models.schedule import Schedule
from scanpool.models.spec import MemoryTarget, PoolSpec
from scanpool.models.spend import Prices, Spend
from scanpool.models.units import MEBIBYTE, timestamp
from scanpool.report import status
from scanpool.report.conditions import settle
from scanpool.report.pool_status import PoolStatus
from scanpool.report.room_status import MemoryStatus
from scanpool.report.status import AMQP_NOTE, Outcome, Scaled, Since, of_failure_before
from strategies import Scenario, scenarios, scenarios_with_gaps

CRD = yaml.safe_load((Path(__file__).parents[3] / "crds" / "scanworkerpools.yaml").read_text())
SCHEMA = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
TYPES: Mapping[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
BOUNDS = {"int32": 2**31, "int64": 2**63}


def faults(value: Any, schema: Mapping[str, Any], path: str = "status") -> list[str]:
    """Say what an API server would prune or refuse of a value under a structural schema."""
    if not isinstance(value, TYPES[schema["type"]]) or (
        isinstance(value, bool) and schema["type"] != "boolean"
    ):
        return [f"{path} is no {schema['type']}: {value!r}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{path} is none of {schema['enum']}: {value!r}")
    if schema.get("format") in BOUNDS and abs(value) >= BOUNDS[schema["format"]]:
        found.append(f"{path} is no {schema['format']}: {value!r}")
    if schema["type"] == "array":
        for index, item in enumerate(value):
            found += faults(item, schema["items"], f"{path}[{index}]")
    if schema["type"] == "object":
        known = schema.get("properties", {})
        if "additionalProperties" in schema:
            known = dict.fromkeys(value, schema["additionalProperties"])
        found += [f"{path}.{name} is pruned" for name in value if name not in known]
        found += [f"{path}.{name} is missing" for name in schema.get("required", []) if
                  name not in value]  # fmt: skip
        for name in value.keys() & known.keys():
            found += faults(value[name], known[name], f"{path}.{name}")
    return found


def dumped(one: PoolStatus) -> dict[str, Any]:
    return one.model_dump(mode="json", by_alias=True, exclude_none=True)


FULL_SPEC = pool(
    queue(),
    llm=llm(api_key_secret_ref=API_KEY, requests_per_minute=10_000, usage=WHOLE_KEY).model_copy(
        update={
            "tokens_per_day": 900_000_000,
            "requests_per_day": 400_000,
            "prices": Prices(input=1, output=2),
        }
    ),
    # More than its replicas can spend: a ceiling of money would hide the others.
    spend=Spend(per_day=100_000),
    memory=MemoryTarget(),
    # Begun every minute, and ended with the year.
    schedules=(Schedule(name="always", start="* * * * *", end="0 0 1 1 *", max_replicas=10),),
)
QUOTA = placement.NamespaceRules((placement.Quota("team", {"pods": 40}, {"pods": 36}),))
FULL_OBSERVATION = observe(
    3,
    target=target(3, pods(3, memory_used=700 * MEBIBYTE)),
    queues=seen((depth(ready=40, unacked=60),)),
    rates=seen((rates(7.0),)),
    provider=seen(
        ProviderState(
            2_000_000,
            10_000,
            tokens_remaining=1_200_000,
            input_tokens_per_minute=3_000_000,
            output_tokens_per_minute=1_000_000,
            tokens_spent=26,
            rate_limited=True,
            slow_down=True,
        )
    ),
    usage=seen(
        KeyUsage(
            1_643_210.0,
            548.0,
            3.0,
            own_tokens_per_minute=1_260_000.0,
            own_requests_per_minute=420.0,
            own_refused_per_minute=590.0,
            refusals=(Refusals("insufficient_quota", 0.3), Refusals("rate_limit_exceeded", 3.0)),
        ),
        NOW - 12,
    ),
    nodes=seen((node(memory_allocatable=8192 * MEBIBYTE),)),
    rules=seen(QUOTA),
)
PEER = Claim(
    "team/other",
    weight=3,
    floor=1,
    wanted=4,
    held=1,
    needs={Unit.TOKENS: Need(383_000, 383_000.0, 1_700_000.0, 1_850_000.0)},
)
FULL_MEMORY = settled(
    3,
    breaker=Breaker(
        Quota.OPEN, "insufficient_quota", NOW - 60, 2, NOW, closed_at=NOW - 120, until=NOW + 50
    ),
    cost=Learned(431_234.5, NOW - 5, 60.0),
    bucket=Bucket(others=OthersUse(NOW - 30, 383_000.0)),
)


def after_tick(
    spec: PoolSpec,
    observation: Observation,
    memory: Memory,
    previous: PoolStatus | None = None,
    scaled: Scaled | None = None,
    peers: Sequence[Claim] = (),
    pause: Pause = NO_PAUSE,
    observed: Observed | None = None,
) -> PoolStatus:
    signals, memory, decision = think(spec, observation, memory, peers=peers, pause=pause)
    memory = replace(memory, observed=observed)
    outcome = Outcome(signals, decision, scaled, observed=observed, spent=memory.spent)
    return status.of_tick(Since(previous or PoolStatus(), 7), spec, outcome, checkpoint(memory))


FULL = after_tick(
    FULL_SPEC,
    FULL_OBSERVATION,
    FULL_MEMORY,
    scaled=Scaled(3, 2),
    peers=(PEER,),
    pause=Pause.from_annotations({SCALE_IN: "true"}),
    observed=Observed(
        2, (Slot(int(NOW), 1),), Change(NOW, 3, 2, LimitedBy.QUOTA, "the account is unpaid")
    ),
)


def unset(value: Any, path: str = "status") -> list[str]:
    """Return the fields that the dump of a status does not have."""
    if isinstance(value, PoolStatus) or hasattr(value, "model_fields_set"):
        pairs = [(name, getattr(value, name)) for name in type(value).model_fields]
        return [
            name
            for field, one in pairs
            for name in ([f"{path}.{field}"] if one is None else unset(one, f"{path}.{field}"))
        ]
    return []


def test_a_status_with_everything_in_it_is_what_the_crd_takes() -> None:
    # So that no field goes unchecked.
    several = {"status.binding_llm", "status.llms", "status.checkpoint.llms"}
    several_keys = {"status.llm.by_key", "status.checkpoint.by_key"}
    # A pool whose budget has ended wants nothing of its key.
    ended = {"status.checkpoint.spend_ended"}
    assert set(unset(FULL)) == several | several_keys | ended
    assert FULL.queues
    assert FULL.steps
    assert FULL.scalings
    assert FULL.observed
    assert FULL.observed.last

    assert faults(dumped(FULL), SCHEMA) == []


@given(scenarios())
def test_every_status_is_what_the_crd_takes(scenario: Scenario) -> None:
    assert faults(dumped(after_tick(*scenario)), SCHEMA) == []


@given(scenarios_with_gaps())
def test_every_status_with_gaps_is_what_the_crd_takes(scenario: Scenario) -> None:
    one = after_tick(*scenario)

    assert faults(dumped(one), SCHEMA) == []
    assert PoolStatus.model_validate(dumped(one)) == one


def parts(value: Any, path: str = "status") -> dict[str, Model]:
    """Return the objects that a status consists of, by where they stand."""
    if isinstance(value, tuple):
        pairs = [(f"{path}[{index}]", one) for index, one in enumerate(value)]
        return {name: part for at, one in pairs for name, part in parts(one, at).items()}
    if not isinstance(value, Model):
        return {}
    inner = [parts(getattr(value, name), f"{path}.{name}") for name in type(value).model_fields]
    return {path: value, **{name: part for one in inner for name, part in one.items()}}


def test_what_is_as_it_was_is_the_same_object() -> None:
    def told_after(before: PoolStatus) -> PoolStatus:
        return after_tick(FULL_SPEC, FULL_OBSERVATION, FULL_MEMORY, before, peers=(PEER,))

    # As the API server gives it back.
    before = PoolStatus.model_validate(dumped(told_after(PoolStatus())))

    was, now = parts(before), parts(told_after(before))

    assert now == was
    kept = {name for name, part in now.items() if part is was[name]}
    # What tells of the tick itself is made anew, and nothing else.
    made = {name for name in now.keys() - kept if not name.startswith("status.checkpoint")}
    assert made == {"status", "status.llm", "status.spend"}
    for name in ("queues[0]", "steps[0]", "conditions[0]", "memory", "llm.budget"):
        assert f"status.{name}" in kept
    for name in ("refusals[1]", "figures[0]", "budget.others[0]"):
        assert f"status.llm.{name}" in kept


def test_room_that_is_as_it_was_is_the_same_object() -> None:
    lacks = (Lack("memory", ("node-a", "node-b")), Lack("cpu", ("node-c",)))
    room = Room(64 * MEBIBYTE, "requests", 1, nodes=3, total=1, fits=0, lacks=lacks)
    before = MemoryStatus.of(room)
    assert before is not None

    assert MemoryStatus.of(room, before) is before
    fuller = MemoryStatus.of(replace(room, nodes=4), before)
    assert fuller is not None
    assert (fuller.nodes, fuller.lacks[0] is before.lacks[0]) == (4, True)


@given(scenarios(), scenarios_with_gaps())
def test_what_was_told_before_leaves_its_history_and_nothing_else(
    first: Scenario, second: Scenario
) -> None:
    for one, other in ((first, second), (second, first), (first, first)):
        before = after_tick(*one)
        history = PoolStatus(conditions=before.conditions, scalings=before.scalings)

        assert after_tick(*other, previous=before) == after_tick(*other, previous=history)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"surprise": 1}, "status.surprise is pruned"),
        ({"limitedBy": "Moon"}, "status.limitedBy is none of"),
        ({"replicas": 2**31}, "status.replicas is no int32"),
        ({"replicas": "3"}, "status.replicas is no integer"),
        ({"conditions": [{}]}, "status.conditions[0].type is missing"),
        ({"ceilings": {"tokens": "3"}}, "status.ceilings.tokens is no integer"),
    ],
)
def test_the_check_itself_finds_faults(value: Any, fault: str) -> None:
    assert any(one.startswith(fault) for one in faults(value, SCHEMA))


def test_a_status_says_what_was_seen_and_decided() -> None:
    one = after_tick(FULL_SPEC, FULL_OBSERVATION, settled(3), peers=(PEER,))

    assert one.observed_generation == 7
    assert one.selector == "app=scan-worker"
    assert (one.replicas, one.ready_replicas, one.backlog) == (3, 3, 100)
    (vision,) = one.queues
    assert (vision.ready, vision.unacked, vision.tokens_waiting) == (40, 60, 300_000)
    assert one.llm is not None
    assert one.llm.limit_tokens_per_minute == 2_000_000
    assert one.llm.used_tokens_per_minute == 1_640_000
    assert one.llm.own_tokens_per_minute == 1_260_000
    assert one.llm.others_tokens_per_minute == 383_000
    assert one.llm.headroom_tokens_per_minute == 357_000
    assert one.llm.headroom_percent == 18
    assert one.memory is not None
    assert one.memory.per_replica == "700Mi"


def test_a_status_says_how_sure_its_figures_are_and_what_measuring_them_costs() -> None:
    one = FULL.llm

    assert one is not None
    # 60 s of learning at a time constant of 40 s.
    assert one.tokens_per_replica_confidence_percent == 78
    assert (one.input_tokens_per_minute_limit, one.output_tokens_per_minute_limit) == (
        3_000_000,
        1_000_000,
    )
    assert one.probe_tokens_per_minute == 26
    # 420 calls that were answered and 590 that were refused, for 7 messages a second.
    assert one.calls_per_task == 2.4


def test_a_cost_that_is_unknown_is_not_shown_as_unsure() -> None:
    spec = pool(llm=llm(tokens_per_replica_minute=None))

    one = after_tick(spec, observe(2, 20), settled(2))

    assert one.llm is not None
    assert one.llm.tokens_per_replica_minute is None
    assert one.llm.tokens_per_replica_confidence_percent is None


def test_refused_calls_are_told_by_code_and_a_rare_one_is_not_none() -> None:
    assert FULL.llm is not None
    assert [(one.code, one.per_minute) for one in FULL.llm.refusals] == [
        ("insufficient_quota", 1),
        ("rate_limit_exceeded", 3),
    ]


def test_each_figure_tells_who_told_it_and_when() -> None:
    assert FULL.llm is not None
    found = {one.name: (one.source, one.at) for one in FULL.llm.figures}

    assert found["used"] == ("test and bucket level", "2027-01-15T07:59:48Z")
    assert found["tokensPerReplica"] == ("Learned", "2027-01-15T07:59:55Z")
    assert found["quota"] == ("test", "2027-01-15T08:00:00Z")
    assert found["limit"] == ("probe", "2027-01-15T08:00:00Z")
    # A limit of the spec has no time.
    assert "requestLimit" not in found


def test_a_shared_limit_shows_everybodys_part() -> None:
    assert FULL.llm is not None
    budget = FULL.llm.budget

    assert budget is not None
    (other,) = budget.others
    assert (other.pool, other.weight) == ("team/other", 3)
    assert other.claim_tokens_per_minute == 1_530_000
    assert budget.claim_tokens_per_minute == 3_020_000
    parts = budget.grant_tokens_per_minute + other.grant_tokens_per_minute
    assert 0 < parts <= budget.tokens_per_minute


def test_a_pool_that_is_alone_on_its_key_shows_no_budget() -> None:
    one = after_tick(FULL_SPEC, FULL_OBSERVATION, FULL_MEMORY)

    assert one.llm is not None
    assert one.llm.budget is None
    assert "budget" not in dumped(one)["llm"]


def test_the_ready_messages_of_amqp_say_that_they_are_not_all() -> None:
    by_amqp = replace(seen((depth(5, None),)), source="amqp")

    one = after_tick(pool(), observe(1, queues=by_amqp), settled(1))

    assert one.backlog_source == AMQP_NOTE
    assert one.queues[0].unacked is None
    assert "unacked" not in dumped(one)["queues"][0]


def test_a_depth_that_is_unknown_is_absent_and_not_zero() -> None:
    one = after_tick(pool(), observe(2), settled(2))

    assert (one.backlog, one.backlog_source, one.queues) == (None, None, ())
    assert one.limited_by is LimitedBy.HOLD
    assert "backlog" not in dumped(one)


def test_a_ceiling_that_is_unknown_is_absent_and_not_zero() -> None:
    spec = pool(llm=llm(tokens_per_minute=None, api_key_secret_ref=API_KEY))

    one = after_tick(spec, observe(2, 20, provider=unseen()), settled(2))

    assert one.ceilings == {}
    assert one.llm is not None
    assert (one.llm.limit_tokens_per_minute, one.llm.headroom_tokens_per_minute) == (None, None)
    assert one.llm.zone is None


def test_scalings_are_kept_latest_first() -> None:
    one = PoolStatus()
    for replicas in range(1, 8):
        one = after_tick(pool(), observe(1), settled(1), one, Scaled(replicas, replicas + 1))

    assert [each.to_replicas for each in one.scalings] == [8, 7, 6, 5, 4]
    assert one.last_scale_time == "2027-01-15T08:00:00Z"
    later = after_tick(pool(), observe(1), settled(1), one)
    assert (later.scalings, later.last_scale_time) == (one.scalings, one.last_scale_time)


def test_a_failure_keeps_what_was_last_shown() -> None:
    failure = Unavailable(Reason.TARGET_NOT_FOUND, "create it")

    one = of_failure_before(Since(FULL, 8), failure, NOW + 60)

    assert one.limited_by is LimitedBy.HOLD
    assert one.observed_generation == 8
    ready, *others = one.conditions
    assert (ready.status, ready.reason) == ("False", Reason.TARGET_NOT_FOUND)
    assert {each.type for each in others} >= {ConditionType.QUOTA_EXHAUSTED}
    same = one.model_copy(
        update={
            "limited_by": FULL.limited_by,
            "observed_generation": 7,
            "conditions": FULL.conditions,
        }
    )
    assert same == FULL
    assert faults(dumped(one), SCHEMA) == []
    assert settle(one.conditions, {}, 9, "") == one.conditions


@pytest.mark.parametrize(
    ("value", "digits"),
    [
        (1_643_210.0, 1_640_000),
        (999_999.0, 1_000_000),
        (0.0, 0),
        (0.4, 0),
        (-12_345.0, -12_300),
        (7.0, 7),
        (None, None),
    ],
)
def test_rates_are_shown_to_three_digits(value: float | None, digits: int | None) -> None:
    assert shown(value) == digits


def test_times_are_written_as_the_api_writes_them() -> None:
    assert timestamp(NOW + 0.999) == "2027-01-15T08:00:00Z"


def test_a_budget_that_is_taken_back_leaves_no_condition() -> None:
    without = FULL_SPEC.model_copy(update={"spend": None})
    assert ConditionType.BUDGET_EXHAUSTED in {one.type for one in FULL.conditions}

    found = after_tick(without, FULL_OBSERVATION, FULL_MEMORY, previous=FULL)
    assert ConditionType.BUDGET_EXHAUSTED not in {one.type for one in found.conditions}
    assert found.spend is not None
    assert (found.spend.per_day, found.spend.zone) == (None, None)
