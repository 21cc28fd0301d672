"""What an older CRD takes away of the statuses that are written."""

import logging

from scanpool.kube.answers import Json

logger = logging.getLogger(__name__)


class Pruned:
    """Looks at what became of each status. One for all pools: they have one CRD."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def look(self, pool: Json, written: Json) -> None:
        """Log, once, what a pool lacks of the status that was written to it."""
        kept = pool.get("status") or {}
        lost = {name for name, value in written.items() if kept.get(name) != value}
        if lost - self._told:
            self._told |= lost
            logger.warning(
                "The status of pools lacks %s: their CRD is older than this operator, whose next "
                "process will begin without it; apply crds/ anew",
                ", ".join(sorted(self._told)),
            )
