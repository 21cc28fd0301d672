"""The condition TasksCutOff: whether workers that are told to stop are killed among their tasks."""

from typing import Literal

from scanpool.decide import cut_off
from scanpool.decide.decision import Decision
from scanpool.decide.signals import Signals
from scanpool.models.conditions import Reason


def state(
    signals: Signals, decision: Decision
) -> tuple[Literal["True", "False", "Unknown"], Reason, str]:
    """Return the condition's status, reason and message."""
    stopped = signals.stopped
    if stopped is None:
        told = "how the pods of the target are stopped is not told: it has no pod template"
        return "Unknown", Reason.NOT_MEASURED, told
    found = cut_off.risk(stopped, decision.held)
    if found is not None:
        return "True", *found
    if decision.held is None and not stopped.in_time:
        told = (
            "how long tasks take was not seen within an hour: that takes some minutes of work, the "
            "management API (rabbitmq.managementUrlSecretRef) and its statistics"
        )
        return "Unknown", Reason.NOT_MEASURED, told
    grace = stopped.how.grace_seconds
    told = f"nothing was seen to need longer than the {grace:g} s of terminationGracePeriodSeconds"
    return "False", Reason.GRACE_SUFFICES, told
