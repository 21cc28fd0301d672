"""What the condition Contested says: who, since when, and the remedy."""

from dataclasses import replace

import pytest

from builders import NOW, observe, pool, settled, signals, think
from scanpool.decide.contest import Contest
from scanpool.models.conditions import ConditionType, Reason
from scanpool.models.reading import Unavailable
from scanpool.models.rivals import Rival, RivalKind
from scanpool.report.conditions import of_tick
from scanpool.report.contested import problem

SINCE = "2027-01-15T07:59:30Z"


def told(contest: Contest) -> Unavailable:
    return problem(pool(), contest, NOW)


@pytest.mark.parametrize(
    ("kind", "reason", "remedy"),
    [
        (RivalKind.AUTOSCALER, Reason.CONTESTED_BY_AUTOSCALER, "delete it"),
        (RivalKind.GITOPS, Reason.CONTESTED_BY_GITOPS, "take replicas out of the manifest"),
        (RivalKind.PERSON, Reason.CONTESTED_BY_PERSON, "scan.eco2.io/paused-replicas"),
        (RivalKind.POOL, Reason.CONTESTED_BY_POOL, "delete one of the two"),
        (RivalKind.OPERATOR, Reason.REPLICAS_CHANGED_ELSEWHERE, "only one operator"),
        (RivalKind.OTHER, Reason.REPLICAS_CHANGED_ELSEWHERE, "look for an HPA"),
    ],
)
def test_each_kind_has_its_reason_and_its_remedy(
    kind: RivalKind, reason: Reason, remedy: str
) -> None:
    found = told(Contest(Rival(kind, "who it is", NOW - 30), NOW - 30, NOW + 60, 2))

    assert found.reason is reason
    assert found.message.startswith("who it is has set the replicas of Deployment scan-worker back")
    assert f"2 times since {SINCE}" in found.message
    assert remedy in found.message
    assert "--show-managed-fields" in found.message
    assert found.message.endswith("this pool leaves them alone until 2027-01-15T08:01:00Z")


def test_who_stands_there_has_not_set_anything_back() -> None:
    found = told(Contest(Rival(RivalKind.POOL, "ScanWorkerPool scan/a", NOW), NOW - 30, None))

    assert found.message.startswith(
        f"ScanWorkerPool scan/a has scaled Deployment scan-worker since {SINCE}"
    )
    assert found.message.endswith("this pool changes nothing while it is there")


def test_a_pool_that_tries_again_is_ready_and_still_contested() -> None:
    gitops = Rival(RivalKind.GITOPS, "Argo CD", NOW - 100)
    over = Contest(gitops, NOW - 100, NOW - 40, 1)
    made = think(pool(), observe(2, 20), settled(2)).decision
    assert "once since" in told(over).message
    assert told(over).message.endswith("tried again since 2027-01-15T07:59:20Z")

    for contest, status in ((over, "True"), (Contest(gitops, NOW - 100, NOW + 1, 1), "False")):
        found = of_tick(pool(), signals(), replace(made, contest=contest), None)
        assert found[ConditionType.CONTESTED].status == "True"
        assert found[ConditionType.READY].status == status
        assert found[ConditionType.SCALING_ACTIVE].status == status
