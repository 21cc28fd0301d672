"""A checkpoint that the version before wrote is read into the right parts, and kept as it was."""

from typing import Any

import pytest

from builders import NOW, memory
from scanpool.decide import Memory, checkpoint, heard, restore
from scanpool.decide.backoff import Backoff
from scanpool.decide.behavior import Scaling
from scanpool.decide.breaker import Breaker, Quota
from scanpool.decide.bucket import Bucket, OthersUse
from scanpool.decide.cost import Learned
from scanpool.decide.history import History
from scanpool.decide.limits import KnownLimit, KnownLimits
from scanpool.decide.memory import Checkpoint, LlmMemory
from scanpool.decide.working_sets import WorkingSet, WorkingSets
from scanpool.models.claims import Unit
from scanpool.models.llm import ONLY
from scanpool.models.units import MEBIBYTE

# What a status holds once the version before, 0.1.0 with one flat memory, has written it.
OLD: list[Any] = [
    pytest.param({"limits": [], "quota": "Closed"}, Memory(), id="nothing-kept"),
    pytest.param(
        {
            "tokensPerReplicaMinute": 550000,
            "learnedSeconds": 240,
            "limits": [],
            "quota": "Closed",
        },
        memory(cost=Learned(tokens=550_000, at=NOW, seconds=240.0)),
        id="learned-cost",
    ),
    pytest.param(
        {
            "limits": [
                {"unit": "RPM", "value": 10000, "source": "admin"},
                {"unit": "TPM", "value": 2000000, "source": "probe"},
                {"unit": "input TPM", "value": 80000, "source": "probe"},
                {"unit": "output TPM", "value": 16000, "source": "probe"},
            ],
            "quota": "Closed",
        },
        memory(
            limits=KnownLimits(
                {
                    Unit.REQUESTS: KnownLimit(10_000, "admin", NOW),
                    Unit.TOKENS: KnownLimit(2_000_000, "probe", NOW),
                    Unit.INPUT_TOKENS: KnownLimit(80_000, "probe", NOW),
                    Unit.OUTPUT_TOKENS: KnownLimit(16_000, "probe", NOW),
                }
            )
        ),
        id="limits",
    ),
    pytest.param(
        {
            "limits": [],
            "othersTokensPerMinute": 500000,
            "othersAt": 1799999979.5,
            "quota": "Closed",
        },
        memory(
            bucket=Bucket(
                others=OthersUse(NOW - 20.5, 500_000), usual=OthersUse(NOW - 20.5, 500_000)
            )
        ),
        id="others-by-the-level",
    ),
    pytest.param(
        {
            "limits": [],
            "rateLimitedAt": 1799999979.75,
            "backoffAt": 1799999969.5,
            "backoffFactor": 0.7,
            "quota": "Closed",
        },
        memory(backoff=Backoff(refused_at=NOW - 20.25, at=NOW - 30.5, factor=0.7)),
        id="a-back-off",
    ),
    pytest.param(
        {"limits": [], "growthStoppedUntil": 1800000800.5, "quota": "Closed"},
        memory(backoff=Backoff(growth_stopped_until=NOW + 800.5)),
        id="growth-stopped",
    ),
    pytest.param(
        {
            "limits": [],
            "quota": "Open",
            "quotaCode": "insufficient_quota",
            "quotaSince": 1799999934.5,
            "quotaRefusals": 4,
        },
        memory(breaker=Breaker(Quota.OPEN, "insufficient_quota", since=NOW - 65.5, refusals=4)),
        id="breaker-open",
    ),
    pytest.param(
        {
            "limits": [],
            "quota": "HalfOpen",
            "quotaCode": "insufficient_quota",
            "quotaSince": 1799999994.5,
            "quotaRefusals": 4,
        },
        memory(breaker=Breaker(Quota.HALF_OPEN, "insufficient_quota", since=NOW - 5.5, refusals=4)),
        id="breaker-half-open",
    ),
    pytest.param(
        {"limits": [], "quota": "Closed", "quotaRefusals": 4, "quotaClosedAt": 1799999994.5},
        memory(breaker=Breaker(refusals=4, closed_at=NOW - 5.5)),
        id="breaker-just-closed",
    ),
    pytest.param(
        {"limits": [], "quota": "Closed", "workingSetBytes": 738197504},
        memory(working_sets=WorkingSets((WorkingSet(NOW, 704 * MEBIBYTE),))),
        id="working-set",
    ),
]


@pytest.mark.parametrize(("written", "known"), OLD)
def test_what_the_version_before_kept_is_read_into_the_right_part(
    written: dict[str, Any], known: Memory
) -> None:
    assert restore(Checkpoint.model_validate(written), NOW) == known


@pytest.mark.parametrize(("written", "known"), OLD)
def test_what_the_version_before_kept_is_kept_as_it_was(
    written: dict[str, Any], known: Memory
) -> None:
    """So neither the new version nor the old one, after a step back, has anything to rewrite."""
    read = Checkpoint.model_validate(written)
    for kept in (read, checkpoint(restore(read, NOW)), checkpoint(known)):
        assert kept.model_dump(mode="json", by_alias=True, exclude_none=True) == written


SINCE = (
    "bucket_tokens",
    "bucket_limit",
    "bucket_at",
    "had_replicas",
    "had_at",
    "quota_until",
    "by_key",
    "llms",
    "days",
    "would_have",
    "would_have_changed",
    "spent",
    "spent_at",
    "spend_ends_at",
    "spend_ended",
    "at",
)
"""What it did not keep."""


def test_all_that_the_version_before_kept_at_once_is_kept_as_it_was() -> None:
    whole = {name: value for one in OLD for name, value in one.values[0].items() if value}

    kept = checkpoint(restore(Checkpoint.model_validate(whole), NOW))
    assert kept.model_dump(mode="json", by_alias=True, exclude_none=True) == whole
    assert len(whole) + len(SINCE) == len(Checkpoint.model_fields)


OPEN = Breaker(Quota.OPEN, "insufficient_quota", since=NOW, refusals=1)
"""As the next process reads it: when it was last refused is not kept."""
BACKED_OFF = Backoff(refused_at=NOW, at=NOW, factor=0.7)


@pytest.mark.parametrize(
    ("known", "told", "then"),
    [
        pytest.param({}, {ONLY: OPEN}, {ONLY: OPEN}, id="the only limit"),
        pytest.param({}, {"gpt": OPEN}, {"gpt": OPEN}, id="one of several"),
        pytest.param({"gpt": OPEN}, {"gpt": Breaker()}, {}, id="one that is well again"),
        pytest.param(
            {"gpt": OPEN, "gemini": OPEN}, {"gemini": OPEN}, {"gemini": OPEN, "gpt": OPEN},
            id="one that the other has not written of",
        ),
    ],
)  # fmt: skip
def test_who_follows_hears_of_the_refusals_of_each_limit(
    known: dict[str, Breaker], told: dict[str, Breaker], then: dict[str, Breaker]
) -> None:
    def remembering(breakers: dict[str, Breaker]) -> Memory:
        # A leader remembers of a limit that is well what else it has learned of it.
        cost = Learned(tokens=550_000, at=NOW, seconds=240.0)
        return Memory(llms={name: LlmMemory(one, cost=cost) for name, one in breakers.items()})

    follower = Memory(llms={name: LlmMemory(one) for name, one in known.items()})

    after = heard(follower, checkpoint(remembering(told)), ())

    assert after.breakers == then


def test_who_follows_hears_of_back_offs_and_changes_of_replicas() -> None:
    leader = Memory(llms={"gpt": LlmMemory(backoff=BACKED_OFF)})
    early, late = Scaling(NOW - 60, 2), Scaling(NOW, -1)
    follower = Memory(history=History(scalings=(early,)))

    after = heard(follower, checkpoint(leader), (early, late))

    assert after.of("gpt").backoff == BACKED_OFF
    assert after.history.scalings == (early, late)
