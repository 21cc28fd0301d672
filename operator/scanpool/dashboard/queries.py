"""PromQL on the operator's metrics. A metric, label or state that there is not raises KeyError.

Series of one pool are put together with `max`: after a restart, Prometheus may still show those of
the process before. `$namespace` and `$pool` are the dashboard's variables.
"""

from scanpool.report.loop_metrics import TICK_SECONDS, TICKS
from scanpool.report.metrics import CONDITION_STATUSES, POOL, pool_metrics

METRICS = pool_metrics()
SELECTED = ('namespace=~"$namespace"', 'pool=~"$pool"')
# Grafana's: long enough for a rate at the scrape interval and the zoom.
RATE = "$__rate_interval"
SECONDS_PER_MINUTE = 60


def each(metric: str, *by: str, **labels: str) -> str:
    """Return a metric of every pool, `by` some of its labels, where `labels` have these values."""
    return f"max by ({', '.join((*POOL, *_known(metric, by)))}) ({_series(metric, labels)})"


def of_key(metric: str, *by: str) -> str:
    """Return a figure of every key: each pool on it shows the same."""
    pools = f"{each(metric, *by)} * on ({', '.join(POOL)}) group_left (key) {each('key', 'key')}"
    return f"max by ({', '.join(('key', *by))}) ({pools})"


def states(metric: str) -> tuple[str, ...]:
    """Return the states of a metric, in the order of their numbers in `state`."""
    if metric == "condition":
        return CONDITION_STATUSES
    found = METRICS[metric].states
    if not found:
        raise KeyError(f"{metric} has no states")
    return found


def state(metric: str, **labels: str) -> str:
    """Return the number of the state that every pool is in; see `states`."""
    label = METRICS[metric].labels[-1]
    numbered = " or ".join(
        f"{number} * {_series(metric, {**labels, label: one})}"
        for number, one in enumerate(states(metric))
    )
    return f"max by ({', '.join(POOL)}) ({numbered})"


def ticks() -> str:
    """Return the ticks of all pools per minute, by outcome."""
    return f"{SECONDS_PER_MINUTE} * sum by (outcome) (rate({TICKS}[{RATE}]))"


def tick_seconds(quantile: float) -> str:
    """Return the time that a share of the ticks stays below, in seconds."""
    buckets = f"sum by (le) (rate({TICK_SECONDS}_bucket[{RATE}]))"
    return f"histogram_quantile({quantile}, {buckets})"


def _series(metric: str, labels: dict[str, str]) -> str:
    _known(metric, labels)
    if METRICS[metric].states and (unknown := set(labels.values()) - set(states(metric))):
        raise KeyError(f"{metric} has no state {', '.join(sorted(unknown))}")
    chosen = (*SELECTED, *(f'{name}="{value}"' for name, value in labels.items()))
    return f"{METRICS[metric].name}{{{', '.join(chosen)}}}"


def _known(metric: str, labels: tuple[str, ...] | dict[str, str]) -> tuple[str, ...]:
    if unknown := set(labels) - set(METRICS[metric].labels):
        raise KeyError(f"{metric} has no label {', '.join(sorted(unknown))}")
    return tuple(labels)
