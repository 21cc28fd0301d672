"""Who contests the replicas, for how long the pool leaves them alone, and when it is over."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW, backlog, pool, seen, signals, think, workers
from scanpool.decide import Memory, Peers, decide
from scanpool.decide.behavior import Recommendation
from scanpool.decide.contest import Contest, Revert, backoff_seconds, judge, remembered, set_back
from scanpool.decide.history import History
from scanpool.models.conditions import LimitedBy
from scanpool.models.rivals import Rival, RivalKind, Writer
from scanpool.models.spec import Mode
from strategies import Scenario, scenarios

ARGO = Rival(RivalKind.GITOPS, "Argo CD (field manager argocd-controller)", NOW)
PERSON = Rival(RivalKind.PERSON, "a person or script (field manager kubectl-edit)", NOW)
HPA = Rival(RivalKind.AUTOSCALER, "HorizontalPodAutoscaler scan/workers", NOW - 50)
POOL = Rival(RivalKind.POOL, "ScanWorkerPool scan/first", NOW - 90)


def reverts(*by: Rival, every: float = 10.0) -> tuple[Revert, ...]:
    """Build one revert after the other, the last of them now."""
    return tuple(Revert(NOW - every * (len(by) - 1 - one), who) for one, who in enumerate(by))


@pytest.mark.parametrize(
    ("by", "seconds"),
    [
        ((), 0),
        ((PERSON,), 0),
        ((PERSON,) * 2, 60),
        ((PERSON,) * 3, 120),
        ((replace(PERSON, kind=RivalKind.OTHER),) * 2, 60),
        ((replace(PERSON, kind=RivalKind.OPERATOR),), 0),
        ((ARGO,), 60),
        ((ARGO,) * 2, 120),
        ((ARGO,) * 3, 240),
        ((ARGO,) * 4, 480),
        ((ARGO,) * 5, 900),
        ((ARGO,) * 500, 900),
        ((replace(ARGO, kind=RivalKind.AUTOSCALER),), 60),
    ],
)
def test_the_more_often_it_was_in_vain_the_longer_the_pool_waits(
    by: tuple[Rival, ...], seconds: float
) -> None:
    assert backoff_seconds(reverts(*by)) == seconds


@pytest.mark.parametrize(
    ("rivals", "by", "expected"),
    [
        pytest.param((), (), None, id="nobody"),
        pytest.param((), (PERSON,), None, id="once-may-be-a-hand"),
        pytest.param(
            (), (PERSON, PERSON), Contest(PERSON, NOW - 10, NOW + 60, 2), id="a-person-twice"
        ),
        pytest.param((), (ARGO,), Contest(ARGO, NOW, NOW + 60, 1), id="gitops-once"),
        pytest.param(
            (), (PERSON, ARGO), Contest(ARGO, NOW - 10, NOW + 120, 2), id="the-last-is-named"
        ),
        pytest.param((HPA,), (), Contest(HPA, NOW - 50, None), id="an-autoscaler-that-is-there"),
        pytest.param((HPA, POOL), (), Contest(POOL, NOW - 90, None), id="of-two-the-older"),
        pytest.param(
            (HPA,), (ARGO,), Contest(HPA, NOW - 50, None, 1), id="who-is-there-goes-first"
        ),
    ],
)
def test_who_contests_the_replicas(
    rivals: tuple[Rival, ...], by: tuple[Rival, ...], expected: Contest | None
) -> None:
    assert judge(rivals, reverts(*by)) == expected


@pytest.mark.parametrize(
    ("by", "seconds", "is_known"),
    [
        ((PERSON,), 599, True),
        ((PERSON,), 600, False),
        ((ARGO,), 659, True),
        ((ARGO,), 660, False),
        ((ARGO,) * 9, 1_499, True),
        ((ARGO,) * 9, 1_500, False),
    ],
)
def test_it_is_over_once_a_try_would_have_stood_for_ten_minutes(
    by: tuple[Rival, ...], seconds: float, *, is_known: bool
) -> None:
    known = reverts(*by)

    assert remembered(known, NOW + seconds) == (known if is_known else ())


@pytest.mark.parametrize(
    ("writers", "name"),
    [
        ((), "something else"),
        ((Writer("kubectl-edit", "", NOW),), PERSON.name),
        ((Writer("scanpool", "scale", NOW), Writer("kubectl-edit", "", NOW - 9)), PERSON.name),
        (
            (Writer("kubectl-edit", "", NOW - 9), Writer("argocd-controller", "", NOW - 1)),
            ARGO.name,
        ),
        # Nobody but this name: whoever shares it.
        ((Writer("scanpool", "scale", NOW),), "another operator of scanpool"),
    ],
)
def test_the_newest_owner_of_the_replicas_that_is_not_the_pool_set_them_back(
    writers: tuple[Writer, ...], name: str
) -> None:
    assert set_back(writers, NOW).by.name == name


@pytest.mark.parametrize(("later", "desired"), [(0, 2), (59, 2), (60, 5), (300, 5)])
def test_the_pool_leaves_replicas_alone_and_then_tries_once_more(
    later: float, desired: int
) -> None:
    there = signals(workers=workers(2), backlog=backlog(50, wanted=5), now=NOW + later)
    past = History((Recommendation(there.now, 5),), reverts=reverts(ARGO))

    made = decide(pool(), there, Memory(past), Peers())
    assert made.desired == desired
    assert (made.limited_by is LimitedBy.CONTESTED) is (desired == 2)
    assert made.contest is not None


@given(scenarios(), st.lists(st.sampled_from([HPA, POOL]), min_size=1, max_size=2))
def test_whatever_a_pool_sees_it_changes_nothing_that_somebody_else_scales(
    scenario: Scenario, rivals: list[Rival]
) -> None:
    spec = scenario.spec.model_copy(update={"mode": Mode.ENFORCE})
    observation = replace(scenario.observation, rivals=seen(tuple(rivals)))

    made = think(spec, observation, scenario.memory).decision
    assert made.desired == made.current
    claims = [one for by_key in made.claims.values() for one in by_key.values()]
    # What it may not have is for others on the key.
    assert {(one.held, one.wanted_lately) for one in claims} <= {(made.current, made.current)}
