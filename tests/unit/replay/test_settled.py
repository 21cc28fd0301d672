"""How a closed-loop case is judged: phases, and figures of samples made by hand."""

from dataclasses import replace

import pytest

from scanpool_replay import settled
from scanpool_replay.run import Sample, Track
from scanpool_replay.scenario import Scenario
from scanpool_replay.settled import Phase

WHOLE = (Phase(0, 600),)


def case(events: list[dict[str, object]], **changes: object) -> Scenario:
    return Scenario.model_validate(
        {
            "name": "case",
            "load": {"arrivalsPerMinute": 60, "seconds": 600},
            "controllers": [{"kind": "fixed", "replicas": 1}],
            "events": events,
            **changes,
        }
    )


def track(*, per_minute: float = 600_000, name: str = "", **changes: object) -> Track:
    """Two replicas that use so many tokens a minute of 2 M, 60 calls a minute, for ten minutes."""
    sample = Sample(
        seconds=0.0, desired=2, ready=2, ceilings={}, backlog=9, waiting=5, tokens=0, own_tokens=0,
        limit=2_000_000, bucket=0.0, has_quota=True, calls=0, rate_refusals=0, quota_refusals=0,
        completed=0, cost=None, level=None, memory=0.0,
    )  # fmt: skip
    moments = []
    for second in range(601):
        tokens = round(per_minute / 60 * second)
        moments.append(
            replace(sample, seconds=float(second), tokens=tokens, own_tokens=tokens, calls=second)
        )
    return Track(name, tuple(replace(one, **changes) for one in moments))  # type: ignore[arg-type]


def changed(found: Track, first: int, last: int, **changes: object) -> Track:
    samples = [
        replace(one, **changes) if first <= one.seconds < last else one  # type: ignore[arg-type]
        for one in found.samples
    ]
    return Track(found.pipeline, tuple(samples))


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([], [Phase(100, 600)], id="the start"),
        pytest.param(
            [{"kind": "setLimit", "atSeconds": 300, "tokensPerMinute": 1}],
            [Phase(100, 300), Phase(400, 600)],
            id="an event",
        ),
        pytest.param(
            [{"kind": "loseReading", "atSeconds": 200, "seconds": 250, "reading": "usage"}],
            [Phase(100, 200), Phase(300, 450), Phase(550, 600)],
            id="both ends of an outage",
        ),
        pytest.param(
            [
                {"kind": "setQuota", "atSeconds": 300, "tokens": 0},
                {"kind": "killPod", "atSeconds": 350},
            ],
            [Phase(100, 300), Phase(450, 600)],
            id="events that overlap",
        ),
        pytest.param(
            [{"kind": "neighborBursts", "atSeconds": 200, "seconds": 250, "share": 0.5}],
            [Phase(100, 200), Phase(300, 450), Phase(550, 600)],
            id="the first and the last burst",
        ),
        pytest.param(
            [{"kind": "restartController", "atSeconds": 300}], [Phase(100, 600)], id="no restart"
        ),
        pytest.param(
            [
                {
                    "kind": "jumpCounters",
                    "atSeconds": 200,
                    "seconds": 250,
                    "tokens": 1,
                    "whose": "own",
                }
            ],
            [Phase(100, 600)],
            id="no counters that jump",
        ),
    ],
)
def test_a_phase_lies_between_what_settles(
    events: list[dict[str, object]], expected: list[Phase]
) -> None:
    assert list(settled.phases(case(events), 100)) == expected


def test_each_pipeline_that_comes_or_goes_ends_a_phase() -> None:
    users = {"virtualUsers": 9, "rampUpSeconds": 20, "holdSeconds": 200, "rampDownSeconds": 20}
    pipelines = [
        {"name": "first", "load": users},
        {"name": "second", "load": {**users, "startSeconds": 400, "drainSeconds": 0}},
    ]
    found = settled.phases(case([], pipelines=pipelines), 50)
    assert found == (Phase(70, 220), Phase(290, 400), Phase(470, 620))


def test_refusals_count_only_in_calm_phases() -> None:
    found = track()
    for second in (50, 300):
        found = changed(found, second, 601, rate_refusals=found.samples[-1].rate_refusals + 6)
    figures = settled.figures(found, [Phase(0, 200), Phase(400, 600)], WHOLE)
    assert (figures.calls, figures.rate_refusals) == (400, 6)
    assert figures.refused_share == pytest.approx(0.015)
    assert settled.figures(found, (), ()).refused_share == 0


def test_scalings_are_counted_within_any_five_minutes() -> None:
    found = changed(track(), 100, 390, desired=3)
    assert settled.figures(found, WHOLE, WHOLE).most_scalings == 2
    assert settled.figures(found, WHOLE, [Phase(0, 380)]).most_scalings == 1
    assert settled.figures(found, WHOLE, [Phase(0, 200), Phase(300, 600)]).most_scalings == 1
    apart = settled.figures(changed(track(), 100, 401, desired=3), WHOLE, WHOLE)
    assert (apart.most_scalings, apart.long_scalings) == (1, 2)


def test_use_is_that_of_everyone_and_a_replicas_that_of_the_pools() -> None:
    first = track(per_minute=600_000, name="first")
    second = changed(track(per_minute=300_000, name="second"), 0, 601, ready=1)
    everyone = tuple(replace(one, tokens=3 * one.own_tokens) for one in first.samples)
    (use,) = settled.uses([replace(first, samples=everyone), second], WHOLE)
    assert use.used == pytest.approx(1_800_000)
    assert use.limit == 2_000_000
    assert use.per_replica == pytest.approx(300_000)
    assert use.others == pytest.approx(900_000)
    assert use.feeds == pytest.approx(1_100_000 / 300_000)


def test_what_a_phase_leaves_in_the_bucket_counts_and_what_it_found_there_does_not() -> None:
    """All that flowed in is made use of, as long as none of it flows into a full bucket."""
    for used, level in ((1_500_000, 0.0), (2_300_000, 4_000_000.0), (2_000_000, 1_000_000.0)):
        found = track(per_minute=used)
        levels = [level + (2_000_000 - used) / 60 * one.seconds for one in found.samples]
        kept = [replace(one, bucket=at) for one, at in zip(found.samples, levels, strict=True)]
        (use,) = settled.uses([replace(found, samples=tuple(kept))], [Phase(60, 180)])
        assert use.share == pytest.approx(1, abs=1e-4)
    (lost,) = settled.uses([track(per_minute=1_500_000, bucket=2_000_000.0)], [Phase(60, 180)])
    assert lost.share == pytest.approx(0.75)


def test_the_levels_jump_with_a_limit_is_no_use() -> None:
    found = changed(track(per_minute=2_000_000), 600, 601, limit=4_000_000, bucket=2_000_000.0)
    (use,) = settled.uses([found], WHOLE)
    assert use.share == pytest.approx(1)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"waiting": 0}, id="nothing waits"),
        pytest.param({"has_quota": False}, id="nobody has paid"),
    ],
)
def test_use_is_not_judged_while_it_cannot_be_more(changes: dict[str, object]) -> None:
    assert settled.uses([changed(track(), 0, 550, **changes)], WHOLE) == ()
    (use,) = settled.uses([changed(track(), 0, 300, **changes)], WHOLE)
    assert use.used == pytest.approx(600_000)


def test_the_cost_that_is_believed_is_held_against_the_use() -> None:
    for cost, error in ((300_000.0, 0.0), (240_000.0, 0.2), (600_000.0, 1.0)):
        found = settled.figures(track(cost=cost), WHOLE, WHOLE).cost_error
        assert found == pytest.approx(error)
    assert settled.figures(track(), WHOLE, WHOLE).cost_error is None
    idle = changed(track(cost=1.0), 100, 200, waiting=0)
    assert settled.figures(idle, WHOLE, WHOLE).cost_error is None
