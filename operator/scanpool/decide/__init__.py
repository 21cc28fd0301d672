"""The decision: pure functions of (spec, observation, memory, now)."""

from scanpool.decide.ladder import decide
from scanpool.decide.quota import probe_age
from scanpool.decide.recall import after_scaling, checkpoint, restore

__all__ = ["after_scaling", "checkpoint", "decide", "probe_age", "restore"]
