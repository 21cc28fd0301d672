"""The numbers of the token ceiling as a person sees them."""

from dataclasses import replace
from typing import Any

import pytest

from builders import (
    ANSWER,
    API_KEY,
    NOW,
    VISION,
    WHOLE_KEY,
    llm,
    memory,
    observe,
    pool,
    queue,
    rates,
    seen,
    settled,
    think,
    unseen,
)
from scanpool.decide.backoff import Backoff
from scanpool.decide.bucket import Bucket, OthersUse
from scanpool.decide.cost import CostSource, Learned
from scanpool.decide.looks import Look
from scanpool.decide.memory import Memory
from scanpool.models.claims import Claim, Need, Share, Unit
from scanpool.models.error_codes import Refusals
from scanpool.models.llm import Provider
from scanpool.models.observation import ConfiguredLimits, KeyUsage, Observation, ProviderState
from scanpool.models.spec import Queue
from scanpool.models.units import timestamp
from scanpool.report import llm as report
from scanpool.report.pool_status import FigureStatus, LlmStatus
from scanpool.report.zone import Zone
from scanpool.report.zone import zone as zone_of

QUEUES = (queue(VISION, tokens=3_000), queue(ANSWER, tokens=1_500))
# 720,000 tokens and 360 requests per minute.
WORKING = (rates(2.0, VISION), rates(4.0, ANSWER))


def reported(
    observation: Observation,
    limit: int | None = None,
    known: Memory | None = None,
    queues: tuple[Queue, ...] = QUEUES,
    **changes: Any,
) -> LlmStatus:
    spec = pool(*queues, llm=llm(tokens_per_minute=limit, api_key_secret_ref=API_KEY, **changes))
    found, _, decision = think(spec, observation, known or Memory())
    shown = report.of_tick(decision, found)
    assert shown is not None
    return shown


@pytest.mark.parametrize(
    ("used", "refused", "zone"),
    [
        (0, False, Zone.GREEN),
        (500, False, Zone.GREEN),
        (501, False, Zone.YELLOW),
        (750, False, Zone.YELLOW),
        (751, False, Zone.ORANGE),
        (900, False, Zone.ORANGE),
        (901, False, Zone.RED),
        (2_000, False, Zone.RED),
        (0, True, Zone.EXCEEDED),
        (901, True, Zone.EXCEEDED),
    ],
)
def test_zones(used: float, refused: bool, zone: Zone) -> None:
    assert zone_of(1_000, used, refused=refused) is zone


def used_in(found: LlmStatus) -> tuple[int | None, int | None, int | None]:
    """Return the use of the key: the whole, the pool's own, the others'."""
    return (
        found.used_tokens_per_minute,
        found.own_tokens_per_minute,
        found.others_tokens_per_minute,
    )


def test_headroom_is_the_limit_less_the_measured_rate_of_the_whole_key() -> None:
    found = reported(observe(rates=seen(WORKING), usage=seen(KeyUsage(1_600_000))), 2_000_000)

    assert used_in(found) == (1_600_000, 720_000, 880_000)
    assert (found.headroom_tokens_per_minute, found.zone) == (400_000, Zone.ORANGE)
    assert found.headroom_percent == 20


def test_headroom_is_negative_while_the_burst_is_being_spent() -> None:
    found = reported(observe(usage=seen(KeyUsage(2_500_000))), 2_000_000)

    assert (found.headroom_tokens_per_minute, found.zone) == (-500_000, Zone.RED)


def test_headroom_of_gemini_is_that_of_its_input() -> None:
    spec = pool(llm=llm(provider=Provider.GEMINI, tokens_per_minute=1_000_000))
    usage = KeyUsage(1_300_000, output_tokens_per_minute=500_000)
    signals, _, decision = think(spec, observe(usage=seen(usage)), Memory())
    found = report.of_tick(decision, signals)

    assert found is not None
    assert (found.limit_tokens_per_minute, found.headroom_tokens_per_minute) == (1_000_000, 200_000)
    assert (found.binding_limit, found.zone) == (Unit.INPUT_TOKENS, Zone.ORANGE)


def test_an_unknown_limit_or_use_leaves_headroom_and_zone_unknown() -> None:
    for found in (
        reported(observe(usage=seen(KeyUsage(2_500_000)))),
        reported(observe(), 2_000_000),
    ):
        assert found.headroom_tokens_per_minute is None
        assert found.headroom_percent is None
        assert found.zone is None


def test_the_use_names_its_source_and_others_are_told_only_where_they_are_seen() -> None:
    alone = reported(observe(rates=seen(WORKING)), 2_000_000)
    assert alone.used_source == "acknowledged messages"
    assert alone.others_tokens_per_minute is None

    shared = reported(observe(usage=seen(KeyUsage(1_000_000))), 2_000_000)
    assert shared.used_source == "test"

    unknown = reported(observe(rates=seen(WORKING), usage=unseen()), 2_000_000)
    assert unknown.others_tokens_per_minute is None, (
        "what others use is unknown, which is not nothing"
    )


@pytest.mark.parametrize(
    "observation",
    [
        observe(usage=seen(KeyUsage(0, rate_limited_per_minute=1.0))),
        observe(rates=seen(WORKING), provider=seen(ProviderState(rate_limited=True))),
    ],
)
def test_a_refused_call_shows_as_exceeded(observation: Observation) -> None:
    assert reported(observation, 2_000_000).zone is Zone.EXCEEDED


def test_a_level_that_shows_others_tells_them_and_one_that_cannot_does_not() -> None:
    look = Look(NOW - 10, 1_000_000, 2_000_000)
    seen_by_level = memory(bucket=Bucket((look,), OthersUse(NOW - 10, 280_000)))
    beside = reported(observe(rates=seen(WORKING)), 2_000_000, seen_by_level)
    assert used_in(beside) == (1_000_000, 720_000, 280_000)
    assert beside.used_source == "acknowledged messages and bucket level"

    alone = reported(observe(rates=seen(WORKING)), 2_000_000, memory(bucket=Bucket((look,))))
    assert used_in(alone) == (720_000, 720_000, None)
    assert alone.used_source == "acknowledged messages"


# --- Limits ---


def test_every_limit_is_told() -> None:
    told = ProviderState(
        tokens_per_minute=100_000,
        requests_per_minute=50,
        input_tokens_per_minute=80_000,
        output_tokens_per_minute=16_000,
    )

    found = reported(observe(provider=seen(told)))
    assert (found.limit_tokens_per_minute, found.limit_source) == (100_000, "probe")
    assert found.requests_per_minute_limit == 50
    assert found.input_tokens_per_minute_limit == 80_000
    assert found.output_tokens_per_minute_limit == 16_000


@pytest.mark.parametrize(
    ("apart", "limit"),
    [
        ({"input_tokens_per_minute": 80_000, "output_tokens_per_minute": 16_000}, 96_000),
        ({"input_tokens_per_minute": 80_000}, 80_000),
        ({"output_tokens_per_minute": 16_000}, 16_000),
        ({}, None),
    ],
)
def test_limits_that_are_told_apart_are_shown_together(
    apart: dict[str, int], limit: int | None
) -> None:
    found = reported(observe(provider=seen(ProviderState(**apart))))

    assert found.limit_tokens_per_minute == limit
    assert found.limit_source == (None if limit is None else "probe")


@pytest.mark.parametrize(
    ("used", "output", "zone"),
    [
        pytest.param(40_000, None, Zone.GREEN, id="not-told-apart-all-with-both-together"),
        pytest.param(40_000, 2_000, Zone.GREEN, id="both-are-far"),
        pytest.param(40_000, 15_500, Zone.RED, id="output-is-near"),
        pytest.param(62_000, 1_000, Zone.ORANGE, id="input-is-nearer"),
    ],
)
def test_the_zone_is_that_of_the_limit_that_is_used_most(
    used: float, output: float | None, zone: Zone
) -> None:
    told = ProviderState(input_tokens_per_minute=80_000, output_tokens_per_minute=16_000)
    usage = KeyUsage(used, output_tokens_per_minute=output)

    assert reported(observe(provider=seen(told), usage=seen(usage))).zone is zone


# --- The probe's own cost ---


@pytest.mark.parametrize(
    ("provider", "per_minute"),
    [
        (seen(ProviderState(tokens_spent=9)), 9 * 60 / 30),
        (seen(ProviderState(tokens_spent=0)), 0),
        (seen(ProviderState()), None),
        (unseen(), None),
        (None, None),
    ],
)
def test_what_the_probe_itself_uses_per_minute(provider: Any, per_minute: float | None) -> None:
    found = reported(observe(provider=provider), 2_000_000, probe={"interval_seconds": 30})

    assert found.probe_tokens_per_minute == per_minute


# --- Calls per task ---


def calling(calls: float | None, refused: float | None) -> Observation:
    usage = KeyUsage(0, own_requests_per_minute=calls, own_refused_per_minute=refused)
    return observe(rates=seen(WORKING), usage=seen(usage))


@pytest.mark.parametrize(
    ("observation", "ratio"),
    [
        pytest.param(calling(360, 0), 1, id="one-call-per-message"),
        pytest.param(calling(360, 360), 2, id="every-call-once-again"),
        pytest.param(calling(360, 2_880), 9, id="a-storm-of-retries"),
        pytest.param(calling(0, 720), 2, id="nothing-but-refusals"),
        pytest.param(calling(None, 0), None, id="own-calls-are-not-counted"),
        pytest.param(calling(360, None), None, id="refusals-are-not-counted"),
        pytest.param(replace(calling(360, 0), rates=None), None, id="no-rates"),
        pytest.param(replace(calling(360, 0), rates=unseen()), None, id="rates-fail"),
        pytest.param(replace(calling(360, 0), usage=unseen()), None, id="prometheus-fails"),
        pytest.param(
            replace(calling(360, 0), rates=seen((rates(0.0), rates(0.0, ANSWER)))),
            None,
            id="nothing-is-worked-off",
        ),
    ],
)
def test_calls_per_task_are_all_own_calls_over_the_messages_that_need_one(
    observation: Observation, ratio: float | None
) -> None:
    assert reported(observation, 2_000_000).calls_per_task == ratio


def test_messages_that_call_no_llm_are_no_tasks() -> None:
    free = (*QUEUES, queue("scan.reward", tokens=0))
    observation = replace(
        calling(360, 0), rates=seen((*WORKING, rates(100.0, "scan.reward"), rates(9.0, "other")))
    )

    assert reported(observation, 2_000_000, queues=free).calls_per_task == 1


# --- Where each number comes from ---


def test_every_figure_has_its_source_and_time() -> None:
    usage = KeyUsage(
        1_600_000,
        rate_limited_per_minute=1.0,
        own_requests_per_minute=360,
        own_refused_per_minute=0,
        refusals=(Refusals("rate_limit_exceeded", 1.0),),
    )
    observation = observe(
        rates=seen(WORKING, NOW - 5),
        usage=seen(usage, NOW - 20),
        provider=replace(
            seen(ProviderState(tokens_per_minute=2_000_000), NOW - 40), source="answer"
        ),
    )
    known = memory(cost=Learned(500_000, NOW - 30, 90.0), backoff=Backoff(NOW - 50, NOW - 50, 0.7))

    found = reported(observation, known=known)
    assert set(found.figures) == {
        FigureStatus(name=name, source=source, at=timestamp(at))
        for name, source, at in (
            ("limit", "probe", NOW - 40),
            ("used", "test", NOW - 20),
            ("others", "test", NOW - 20),
            ("tokensPerReplica", "Learned", NOW - 30),
            ("backoff", "429s", NOW - 50),
            ("rateLimited", "test", NOW - 20),
            ("callsPerTask", "test", NOW - 20),
            ("quota", "answer", NOW - 40),
        )
    }
    assert [(one.code, one.per_minute) for one in found.refusals] == list(usage.refusals)
    assert found.tokens_per_replica_source is CostSource.LEARNED
    # 90 s of learning at a time constant of 40 s.
    assert found.tokens_per_replica_confidence_percent == 89


@pytest.mark.parametrize(
    ("observation", "names"),
    [
        pytest.param(observe(), set(), id="nothing-is-seen"),
        pytest.param(observe(rates=seen(WORKING)), {"used"}, id="alone"),
        pytest.param(observe(usage=unseen(), provider=unseen()), set(), id="all-fails"),
        pytest.param(observe(usage=seen(KeyUsage(1.0))), {"used"}, id="neither-own-nor-refusals"),
        pytest.param(
            observe(usage=seen(KeyUsage(1.0, own_tokens_per_minute=1.0))),
            {"used", "others"},
            id="no-refusals",
        ),
        pytest.param(
            replace(calling(360, 0), rates=unseen()), {"used", "others"}, id="no-tasks-to-divide-by"
        ),
        pytest.param(
            observe(configured=seen(ConfiguredLimits(2_000_000))), {"limit"}, id="admin-api"
        ),
    ],
)
def test_a_number_that_is_not_there_has_no_source(
    observation: Observation, names: set[str]
) -> None:
    assert {figure.name for figure in reported(observation).figures} == names


def test_the_specs_own_numbers_need_no_time() -> None:
    assert reported(observe(), 2_000_000).figures == ()


# --- The share of a limit ---


def test_the_budget_shows_every_claimant() -> None:
    peer = Claim("other/scan", 3, 0, 4, 2, {Unit.TOKENS: Need(400_000, 0, 1_700_000, 1_850_000)})
    spec = pool(llm=llm(usage=WHOLE_KEY))
    observation = observe(1, 20, rates=seen((rates(0.0),)), usage=seen(KeyUsage(0)))
    found, _, decision = think(spec, observation, settled(1), peers=(peer,))
    assert decision.llm is not None
    shared = decision.llm.shared
    assert shared is not None
    assert shared.total == 1_700_000
    assert (shared.share.pool, shared.share.weight, shared.share.claim) == (
        "scan/pool", 1, 1_000_000,
    )  # fmt: skip
    assert [(one.pool, one.weight, one.claim) for one in shared.others] == [
        ("other/scan", 3, 1_600_000)
    ]
    assert shared.share.grant + sum(one.grant for one in shared.others) <= shared.total

    shown = report.of_tick(decision, found)
    assert shown is not None
    budget = shown.budget
    assert budget is not None
    assert (budget.tokens_per_minute, budget.claim_tokens_per_minute) == (1_700_000, 1_000_000)
    assert budget.grant_tokens_per_minute == shared.share.grant
    assert [(one.pool, one.weight, one.claim_tokens_per_minute) for one in budget.others] == [
        ("other/scan", 3, 1_600_000)
    ]
    assert [one.grant_tokens_per_minute for one in budget.others] == [
        one.grant for one in shared.others
    ]


def test_the_largest_few_claimants_are_named_and_the_rest_counted() -> None:
    need = Need(400_000, 0, 1_700_000, 1_850_000)
    peers = tuple(
        Claim(f"other/{number:02}", 1, 0, number, 0, {Unit.TOKENS: need}) for number in range(12)
    )
    spec = pool(llm=llm(usage=WHOLE_KEY))
    observation = observe(1, 20, rates=seen((rates(0.0),)), usage=seen(KeyUsage(0)))
    found, _, decision = think(spec, observation, settled(1), peers=peers)

    shown = report.of_tick(decision, found)

    assert shown is not None
    assert shown.budget is not None
    named = [one.pool for one in shown.budget.others]
    assert named == ["other/07", "other/08", "other/09", "other/10", "other/11"]
    assert (shown.budget.more_others, shown.budget.first_pool) == (7, "other/00")


def test_a_pool_alone_has_the_budget_to_itself() -> None:
    found, _, decision = think(pool(llm=llm()), observe(1, 20), settled(1))

    assert decision.llm is not None
    assert decision.llm.shared is not None
    assert decision.llm.shared.share == Share("scan/pool", 1, 1_000_000, 1_000_000)
    assert decision.llm.shared.others == ()
    shown = report.of_tick(decision, found)
    assert shown is not None
    assert shown.budget is None, "there is nobody to share with"


def test_a_pool_without_a_provider_has_no_figures_of_one() -> None:
    found, _, decision = think(pool(), observe(1, 20), settled(1))

    assert report.of_tick(decision, found) is None


# --- The limit that binds ---


@pytest.mark.parametrize(
    ("output", "binding"),
    [
        pytest.param(None, Unit.OUTPUT_TOKENS, id="not-told-apart"),
        pytest.param(40_000, Unit.INPUT_TOKENS, id="input"),
        pytest.param(800_000, Unit.OUTPUT_TOKENS, id="output"),
    ],
)
def test_the_limit_that_the_ceiling_follows_is_named(output: float | None, binding: Unit) -> None:
    told = ProviderState(input_tokens_per_minute=3_200_000, output_tokens_per_minute=640_000)
    usage = KeyUsage(
        1_600_000,
        output_tokens_per_minute=output,
        own_tokens_per_minute=1_600_000,
        own_output_tokens_per_minute=output,
    )

    found = reported(observe(provider=seen(told), usage=seen(usage)), usage=WHOLE_KEY)
    assert found.binding_limit is binding
