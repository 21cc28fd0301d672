"""Figures of processes, and of what the operator tells of itself."""

import math
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

KIBIBYTE = 1024
LAG = "scanpool_tick_lag_seconds"
Samples = Mapping[str, Mapping[frozenset[tuple[str, str]], float]]


@dataclass(frozen=True)
class Process:
    """What a process has used: CPU in seconds since its start, resident memory in bytes."""

    cpu_seconds: float
    resident_bytes: int
    peak_bytes: int


def process(pid: int) -> Process:
    """Read the figures of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    return Process(
        ticks / os.sysconf("SC_CLK_TCK"),
        int(sizes["VmRSS"]) * KIBIBYTE,
        int(sizes["VmHWM"]) * KIBIBYTE,
    )


def samples(text: str) -> Samples:
    """Parse what the operator exposes, without what is told of each pool."""
    found: defaultdict[str, dict[frozenset[tuple[str, str]], float]] = defaultdict(dict)
    own = "\n".join(line for line in text.splitlines() if "scanpool_pool_" not in line) + "\n"
    for family in text_string_to_metric_families(own):
        for sample in family.samples:
            found[sample.name][frozenset(sample.labels.items())] = sample.value
    return found


def grown(before: Samples, after: Samples, name: str, label: str = "") -> dict[str, float]:
    """Return by how much a counter has grown, by the values of a label; "" is all together."""
    sums: defaultdict[str, float] = defaultdict(float)
    for labels, value in after.get(name, {}).items():
        sums[dict(labels).get(label, "")] += value - before.get(name, {}).get(labels, 0.0)
    return {value: growth for value, growth in sums.items() if growth}


def quantile(before: Samples, after: Samples, name: str, share: float) -> float:
    """Return the edge of the bucket of a histogram that a share of what came is not beyond."""
    buckets = grown(before, after, f"{name}_bucket", "le")
    counted = sorted((float(edge), count) for edge, count in buckets.items())
    if not counted:
        return math.nan
    return next(edge for edge, count in counted if count >= share * counted[-1][1])


def nearest(values: list[float], share: float) -> float:
    """Return the value that a share of the others is not beyond (nearest rank)."""
    if not values:
        return math.nan
    ranked = sorted(values)
    return ranked[max(math.ceil(share * len(ranked)) - 1, 0)]
