"""Replicas that somebody has set."""

from scanpool_replay.contenders import Fixed
from scanpool_replay.pipeline import Pipeline


class FixedReplicas:
    """Sets the replicas at given times only."""

    def __init__(self, settings: Fixed) -> None:
        self._settings = settings

    def start(self, pipeline: Pipeline) -> None:
        """Plan the changes."""
        for seconds, replicas in self._settings.then:
            pipeline.engine.at(seconds, pipeline.cluster.scale, replicas)

    def restart(self) -> None:
        """There is no process."""

    def ceilings(self) -> dict[str, int | None]:
        """There are none."""
        return {}
