"""The decision in three strides, pure functions all: assess, learn, decide."""

from scanpool.decide.assess import assess
from scanpool.decide.ceilings import Peers
from scanpool.decide.clock import followed
from scanpool.decide.ladder import decide
from scanpool.decide.learn import learn
from scanpool.decide.memory import (
    Memory,
    after_observing,
    after_scaling,
    checkpoint,
    heard,
    restore,
)
from scanpool.decide.probing import age as probe_age
from scanpool.decide.probing import ages as probe_ages

__all__ = [
    "Memory",
    "Peers",
    "after_observing",
    "after_scaling",
    "assess",
    "checkpoint",
    "decide",
    "followed",
    "heard",
    "learn",
    "probe_age",
    "probe_ages",
    "restore",
]
