"""The autoscalers that are compared."""

from scanpool_replay.contenders import Controller, Fixed, Formula, Keda, Scanpool
from scanpool_replay.controllers.fixed import FixedReplicas
from scanpool_replay.controllers.formula import FormulaScaler
from scanpool_replay.controllers.keda import KedaScaler
from scanpool_replay.controllers.pool import PoolScaler
from scanpool_replay.world import Autoscaler


def build(controller: Controller) -> tuple[Autoscaler, int]:
    """Return an autoscaler, and the replicas that it keeps an idle pipeline at."""
    match controller:
        case Fixed():
            return FixedReplicas(controller), controller.replicas
        case Keda():
            return KedaScaler(controller), controller.min_replicas
        case Formula():
            return FormulaScaler(controller), controller.min_replicas
        case Scanpool():
            return PoolScaler(controller), controller.spec.min_replicas
