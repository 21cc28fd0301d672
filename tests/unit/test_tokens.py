import pytest

from builders import (
    ANSWER,
    API_KEY,
    VISION,
    llm,
    observe,
    queue,
    rates,
    seen,
    unseen,
)
from scanpool.decide import tokens
from scanpool.decide.tokens import Cost, Flow, Limit
from scanpool.models.decision import Ceiling, CostSource, TokenReport, Zone
from scanpool.models.observation import KeyUsage, Observation, ProviderState, QueueRates

QUEUES = (queue(VISION, tokens=3_000), queue(ANSWER, tokens=1_500))
WORKING = (rates(2.0, VISION), rates(4.0, ANSWER))
# 2 x 60 x 3,000 + 4 x 60 x 1,500 tokens and 6 x 60 requests, per minute.
OWN = Flow(tokens=720_000, requests=360)


def ceiling(
    limit: int | None,
    others: float | None = 0,
    per_replica: float | None = 500_000,
    percent: int = 85,
    factor: float = 1.0,
    current: int = 3,
) -> Ceiling:
    return tokens.ceiling(
        "TPM", Limit(limit, "spec"), others, per_replica, percent, factor, current
    )


@pytest.mark.parametrize(
    ("limit", "others", "per_replica", "percent", "factor", "fits", "keeps"),
    [
        # floor(0.85 x 2M / 0.5M) = floor(3.4), and floor(0.925 x 2M / 0.5M) = floor(3.7)
        (2_000_000, 0, 500_000, 85, 1.0, 3, 3),
        (4_000_000, 0, 500_000, 85, 1.0, 6, 7),
        (2_000_000, 300_000, 500_000, 85, 1.0, 2, 3),
        (2_000_000, 700_000, 500_000, 85, 1.0, 2, 2),
        (2_000_000, 1_700_001, 500_000, 85, 1.0, 0, 0),
        (2_000_000, 2_500_000, 500_000, 85, 1.0, 0, 0),
        (2_000_000, 0, 250_000, 85, 1.0, 6, 7),
        (2_000_000, 0, 500_000, 100, 1.0, 4, 4),
        (2_000_000, 0, 500_000, 50, 1.0, 2, 3),
        # 0.7 x (1.7M - 0.3M) = 0.98M, and 0.7 x (1.85M - 0.3M) = 1.085M
        (2_000_000, 300_000, 500_000, 85, 0.7, 1, 2),
        # What fits exactly fits: 36% of 1M, and 68% of it as the lowering edge.
        (1_000_000, 0, 360_000, 36, 1.0, 1, 1),
        (1_000_000, 0, 340_000, 36, 1.0, 1, 2),
        # One replica that costs more than the target is better than none; none where none is left.
        (500_000, 0, 500_000, 85, 1.0, 1, 1),
        (500_000, 424_999, 500_000, 85, 1.0, 1, 1),
        (500_000, 425_000, 500_000, 85, 1.0, 0, 0),
        # A replica that costs next to nothing allows as many as a pool may have at all.
        (2_000_000, 0, 0.001, 85, 1.0, 10_000, 10_000),
        (2_000_000, 0, 5e-324, 85, 1.0, 10_000, 10_000),
    ],
)
def test_the_ceiling_is_the_floor_of_factor_times_target_less_others_over_cost(
    limit: int,
    others: float,
    per_replica: float,
    percent: int,
    factor: float,
    fits: int,
    keeps: int,
) -> None:
    found = ceiling(limit, others, per_replica, percent, factor)

    assert (found.replicas, found.keeps) == (fits, keeps)


@pytest.mark.parametrize(("current", "allowed"), [(0, 6), (5, 6), (6, 6), (7, 7), (8, 6), (30, 6)])
def test_growth_goes_to_the_raising_edge_and_replicas_go_only_above_the_lowering_edge(
    current: int, allowed: int
) -> None:
    assert ceiling(4_000_000).allows(current) == allowed


@pytest.mark.parametrize("current", [0, 1, 7])
@pytest.mark.parametrize("found", [ceiling(None), ceiling(2_000_000, others=None)])
def test_an_unknown_limit_or_an_unknown_use_by_others_allows_what_is_there(
    found: Ceiling, current: int
) -> None:
    assert (found.replicas, found.keeps) == (None, None)
    assert found.allows(current) == current


@pytest.mark.parametrize(("current", "allowed"), [(0, 1), (1, 1), (7, 7)])
@pytest.mark.parametrize("per_replica", [None, 0.0])
def test_a_cost_that_is_not_learned_yet_allows_what_is_there_or_one_to_learn_it(
    current: int, allowed: int, per_replica: float | None
) -> None:
    assert ceiling(2_000_000, per_replica=per_replica, current=current).allows(current) == allowed


def test_the_reason_has_every_number_of_the_formula() -> None:
    assert ceiling(2_000_000, 300_000).reason == (
        "85% of 2,000,000 TPM less 300,000 used by others, at 500,000 TPM per replica"
    )
    assert "times 0.70 after 429s" in ceiling(2_000_000, factor=0.7).reason


@pytest.mark.parametrize(
    ("declared", "probed", "limit"),
    [
        (2_000_000, 4_000_000, Limit(2_000_000, "spec")),
        (4_000_000, 2_000_000, Limit(2_000_000, "probe")),
        (2_000_000, 2_000_000, Limit(2_000_000, "probe")),
        (2_000_000, None, Limit(2_000_000, "spec")),
        (None, 2_000_000, Limit(2_000_000, "probe")),
        (None, None, Limit(None, None)),
    ],
)
def test_of_the_limits_that_the_spec_and_the_probe_tell_the_smaller_counts(
    declared: int | None, probed: int | None, limit: Limit
) -> None:
    state = ProviderState(tokens_per_minute=probed, requests_per_minute=probed)
    spec = llm(tokens_per_minute=declared, requests_per_minute=declared, api_key_secret_ref=API_KEY)

    assert tokens.limits(spec, observe(provider=seen(state))) == (limit, limit)


@pytest.mark.parametrize("provider", [None, unseen()])
def test_without_an_answer_of_the_provider_the_specs_limit_counts(provider: None) -> None:
    spec = llm(requests_per_minute=500)

    assert tokens.limits(spec, observe(provider=provider)) == (
        Limit(2_000_000, "spec"),
        Limit(500, "spec"),
    )


def test_own_use_is_acknowledged_messages_times_tokens_per_message() -> None:
    by_name = {one.name: one for one in WORKING}

    assert tokens.own_flow(QUEUES, by_name) == OWN


def test_a_queue_that_calls_no_llm_adds_neither_tokens_nor_requests() -> None:
    by_name = {VISION: rates(2.0), "scan.reward": rates(50.0, "scan.reward")}

    own = tokens.own_flow([queue(), queue("scan.reward", tokens=0)], by_name)
    assert own == Flow(360_000, 120)


@pytest.mark.parametrize(
    "rated",
    [
        pytest.param({}, id="no-rates"),
        pytest.param({VISION: rates(2.0)}, id="one-queue-has-no-rate"),
    ],
)
def test_own_use_is_unknown_rather_than_zero_without_every_queues_rate(
    rated: dict[str, QueueRates],
) -> None:
    assert tokens.own_flow(QUEUES, rated) == Flow(None, None)
    assert tokens.own_flow([queue(tokens=0)], {VISION: rates(2.0)}) == Flow(None, None)


@pytest.mark.parametrize(
    ("observation", "whole", "own", "others"),
    [
        pytest.param(
            observe(rates=seen(WORKING), usage=seen(KeyUsage(1_000_000, 500))),
            Flow(1_000_000, 500),
            OWN,
            Flow(280_000, 140),
            id="others-are-the-whole-less-our-own",
        ),
        pytest.param(
            observe(rates=seen(WORKING), usage=seen(KeyUsage(700_000, None))),
            Flow(700_000, None),
            OWN,
            Flow(0, 0),
            id="others-never-use-less-than-nothing",
        ),
        pytest.param(
            observe(rates=seen(WORKING)), OWN, OWN, Flow(0, 0), id="alone-where-no-one-else-is-seen"
        ),
        pytest.param(
            observe(usage=seen(KeyUsage(1_000_000, 500))),
            Flow(1_000_000, 500),
            Flow(1_000_000, 500),
            Flow(0, 0),
            id="all-use-is-ours-where-our-own-is-not-seen",
        ),
        pytest.param(
            observe(rates=seen(WORKING), usage=seen(KeyUsage(1_000_000, 500, 0, 900_000, 450))),
            Flow(1_000_000, 500),
            Flow(900_000, 450),
            Flow(100_000, 50),
            id="our-own-of-the-same-series-comes-before-the-rates",
        ),
        pytest.param(
            observe(rates=unseen(), usage=seen(KeyUsage(1_000_000, 500, 0, 900_000, 450))),
            Flow(1_000_000, 500),
            Flow(900_000, 450),
            Flow(100_000, 50),
            id="and-without-them",
        ),
        pytest.param(
            observe(usage=seen(KeyUsage(1_000_000, 500, 0, 0, 0))),
            Flow(1_000_000, 500),
            Flow(0, 0),
            Flow(1_000_000, 500),
            id="zero-of-our-own-is-known",
        ),
        pytest.param(
            observe(rates=unseen(), usage=seen(KeyUsage(1_000_000, 500))),
            Flow(1_000_000, 500),
            Flow(1_000_000, 500),
            Flow(1_000_000, 500),
            id="all-use-may-be-theirs-while-our-own-is-unread",
        ),
        pytest.param(
            observe(rates=seen(WORKING), usage=unseen()),
            OWN,
            OWN,
            Flow(None, None),
            id="unknown-while-the-whole-is-unread",
        ),
        pytest.param(observe(), Flow(), Flow(), Flow(0, 0), id="nothing-is-seen"),
    ],
)
def test_what_others_use(observation: Observation, whole: Flow, own: Flow, others: Flow) -> None:
    assert tokens.flows(QUEUES, observation) == (whole, own)
    assert tokens.others(observation, whole, own) == others


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
    assert tokens.zone(1_000, used, refused) is zone


def report(observation: Observation, **limit: int) -> TokenReport:
    whole, own = tokens.flows(QUEUES, observation)
    return tokens.report(
        observation,
        Limit(limit.get("limit"), "spec"),
        Limit(None, None),
        whole,
        own,
        Cost(500_000, 250, CostSource.SPEC),
        1.0,
    )


def test_headroom_is_the_limit_less_the_measured_rate_of_the_whole_key() -> None:
    found = report(observe(rates=seen(WORKING), usage=seen(KeyUsage(1_600_000))), limit=2_000_000)

    assert (found.used, found.own, found.others) == (1_600_000, 720_000, 880_000)
    assert (found.headroom, found.zone) == (400_000, Zone.ORANGE)


def test_headroom_is_negative_while_the_burst_is_being_spent() -> None:
    found = report(observe(usage=seen(KeyUsage(2_500_000))), limit=2_000_000)

    assert (found.headroom, found.zone) == (-500_000, Zone.RED)


def test_an_unknown_limit_or_use_leaves_headroom_and_zone_unknown() -> None:
    for found in (
        report(observe(usage=seen(KeyUsage(2_500_000)))),
        report(observe(), limit=2_000_000),
    ):
        assert found.headroom is None
        assert found.zone is None


def test_the_use_names_its_source_and_others_are_told_only_where_they_are_seen() -> None:
    alone = report(observe(rates=seen(WORKING)), limit=2_000_000)
    assert (alone.used_source, alone.others) == ("acknowledged messages", None)

    shared = report(observe(usage=seen(KeyUsage(1_000_000))), limit=2_000_000)
    assert shared.used_source == "test"

    unknown = report(observe(rates=seen(WORKING), usage=unseen()), limit=2_000_000)
    assert unknown.others is None, "what others use is unknown, which is not nothing"


@pytest.mark.parametrize(
    "observation",
    [
        observe(usage=seen(KeyUsage(0, rate_limited_per_minute=1.0))),
        observe(rates=seen(WORKING), provider=seen(ProviderState(rate_limited=True))),
    ],
)
def test_a_refused_call_shows_as_exceeded(observation: Observation) -> None:
    assert report(observation, limit=2_000_000).zone is Zone.EXCEEDED
