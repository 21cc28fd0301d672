"""The autoscalers that are compared."""

from collections.abc import Sequence

from scanpool_replay.contenders import Controller, Fixed, Formula, Keda, Scanpool, adapted
from scanpool_replay.controllers.fixed import FixedReplicas
from scanpool_replay.controllers.formula import FormulaScaler
from scanpool_replay.controllers.keda import KedaScaler
from scanpool_replay.controllers.pool import PoolScaler
from scanpool_replay.operator import Operator
from scanpool_replay.pipeline import Autoscaler
from scanpool_replay.settings import Tenant


def build(controller: Controller, tenants: Sequence[Tenant]) -> list[tuple[Autoscaler, int]]:
    """Return an autoscaler for each pipeline, and the replicas that it keeps an idle one at.

    The pools of scanpool are those of one operator.
    """
    operator = Operator()
    return [_build(adapted(controller, tenant), operator) for tenant in tenants]


def _build(controller: Controller, operator: Operator) -> tuple[Autoscaler, int]:
    match controller:
        case Fixed():
            return FixedReplicas(controller), controller.replicas
        case Keda():
            return KedaScaler(controller), controller.min_replicas
        case Formula():
            return FormulaScaler(controller), controller.min_replicas
        case Scanpool():
            return PoolScaler(controller, operator), controller.spec.min_replicas
