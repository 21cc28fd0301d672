"""Which missing readings hold a pool, and the one that must not."""

import pytest

from builders import NOW, WHOLE_KEY, llm, observe, pool, unseen
from scanpool.decide import decide, gaps
from scanpool.models.conditions import Reason
from scanpool.models.decision import LimitedBy
from scanpool.models.memory import Memory, Recommendation

SPEC = pool(min_replicas=0, llm=llm(usage=WHOLE_KEY))


def remembering(replicas: int) -> Memory:
    return Memory(recommendations=(Recommendation(NOW - 10, replicas),))


def test_a_pool_at_zero_starts_one_replica_although_its_key_shows_no_use_yet() -> None:
    unused = unseen(Reason.USAGE_NOT_FOUND)
    decision, _ = decide(SPEC, observe(0, 300, usage=unused), remembering(0), NOW)
    assert decision.gaps == ()
    assert decision.desired == 1
    assert decision.limited_by is LimitedBy.TOKENS


@pytest.mark.parametrize(
    ("replicas", "reason"),
    [
        (1, Reason.USAGE_NOT_FOUND),
        (0, Reason.PROMETHEUS_UNREACHABLE),
        (0, Reason.USAGE_IMPLAUSIBLE),
    ],
)
def test_every_other_gap_in_the_use_holds(replicas: int, reason: Reason) -> None:
    decision, _ = decide(
        SPEC, observe(replicas, 300, usage=unseen(reason)), remembering(replicas), NOW
    )
    assert [gap.reason for gap in decision.gaps] == [reason]
    assert decision.desired == replicas


def test_nothing_to_do_keeps_a_pool_at_zero() -> None:
    unused = unseen(Reason.USAGE_NOT_FOUND)
    decision, _ = decide(SPEC, observe(0, 0, usage=unused), remembering(0), NOW)
    assert decision.desired == 0
    assert gaps.find(SPEC, observe(0, 0, usage=unused)) == ()
