"""The condition Contested: who else sets the replicas, since when, and what to do."""

from typing import Literal

from scanpool.decide.contest import Contest
from scanpool.decide.decision import Decision
from scanpool.decide.signals import Signals
from scanpool.models.conditions import Reason
from scanpool.models.reading import Unavailable
from scanpool.models.rivals import RivalKind
from scanpool.models.spec import PoolSpec
from scanpool.models.units import timestamp

REASONS = {
    RivalKind.AUTOSCALER: Reason.CONTESTED_BY_AUTOSCALER,
    RivalKind.GITOPS: Reason.CONTESTED_BY_GITOPS,
    RivalKind.PERSON: Reason.CONTESTED_BY_PERSON,
    RivalKind.POOL: Reason.CONTESTED_BY_POOL,
    RivalKind.OPERATOR: Reason.REPLICAS_CHANGED_ELSEWHERE,
    RivalKind.OTHER: Reason.REPLICAS_CHANGED_ELSEWHERE,
}
REMEDIES = {
    RivalKind.AUTOSCALER: "delete it, or set mode: Observe on this pool",
    RivalKind.GITOPS: "take replicas out of the manifest, or have it ignore /spec/replicas "
    "(Argo CD: ignoreDifferences with RespectIgnoreDifferences=true)",
    RivalKind.PERSON: "to set replicas by hand, annotate the pool with "
    "scan.eco2.io/paused-replicas: N; to apply a manifest, leave replicas out of it",
    RivalKind.POOL: "delete one of the two, or give this one another target",
    RivalKind.OPERATOR: "let only one operator look after the namespace",
    RivalKind.OTHER: "look for an HPA on the same target, or a GitOps controller that owns "
    "spec.replicas",
}


def left_alone(spec: PoolSpec, signals: Signals, decision: Decision) -> Unavailable | None:
    """Return why nothing is carried out while someone else sets the replicas; None if it is."""
    contest = decision.contest
    if contest is None or not contest.holds(signals.now):
        return None
    return problem(spec, contest, signals.now)


def state(
    spec: PoolSpec, signals: Signals, decision: Decision
) -> tuple[Literal["True", "False", "Unknown"], Reason, str]:
    """Return the condition's status, reason and message."""
    if decision.contest is not None:
        found = problem(spec, decision.contest, signals.now)
        return "True", found.reason, found.message
    if (gap := signals.rivals_gap) is not None:
        return "Unknown", gap.reason, gap.message
    return "False", Reason.NOT_CONTESTED, "nothing else changes the replicas"


def problem(spec: PoolSpec, contest: Contest, now: float) -> Unavailable:
    """Return who contests the replicas, as a condition's reason and message."""
    ref, by, since = spec.scale_target_ref, contest.by, timestamp(contest.since)
    target = f"{ref.kind} {ref.name}"
    if contest.until is None:
        told = f"{by.name} has scaled {target} since {since}: {REMEDIES[by.kind]}"
        waits = "this pool changes nothing while it is there"
    else:
        times = "once" if contest.reverts == 1 else f"{contest.reverts} times"
        told = (
            f"{by.name} has set the replicas of {target} back {times} since {since}: "
            f"{REMEDIES[by.kind]} (kubectl get {ref.kind.lower()} {ref.name} -o yaml "
            "--show-managed-fields)"
        )
        until = timestamp(contest.until)
        waits = f"this pool leaves them alone until {until}"
        if not contest.holds(now):
            waits = f"this pool has tried again since {until}"
    return Unavailable(REASONS[by.kind], f"{told}; {waits}")
