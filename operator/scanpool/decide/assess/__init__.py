"""The first stride: from readings to signals, each fact worked out once.

The only room of `decide` that sees readings; what it makes of them is all that the others get.
"""

from scanpool.decide import fallback, working_sets
from scanpool.decide.assess import gaps, provider, queues, room, stopping, workers
from scanpool.decide.memory import Memory
from scanpool.decide.signals import Signals
from scanpool.models.field_names import gap_of_limit
from scanpool.models.observation import Observation
from scanpool.models.reading import Available, Unavailable
from scanpool.models.spec import Mode, PoolSpec


def assess(spec: PoolSpec, observation: Observation, memory: Memory, now: float) -> Signals:
    """Return what this tick's readings say, beside what is remembered of earlier ones.

    `now` is in seconds since the epoch.
    """
    target = observation.target
    there = workers.workers(target, memory.history.scaled_at)
    used = [pod.memory_used for pod in target.pods if pod.memory_used is not None]
    sets = working_sets.step(memory.working_sets, max(used, default=None), now)
    llms, of_limits = {}, {}
    for name in spec.limits:
        one, seen = spec.only(name), observation.only(name)
        llms[name], vetted = provider.assess(one, seen, memory.of(name), there, now)
        found = gaps.of_limit(one, vetted, llms[name])
        of_limits[name] = tuple(gap_of_limit(gap, name) for gap in found)
    of_room = (*gaps.of(observation.nodes), *gaps.of_rules(observation.rules))
    missing = fallback.Missing(gaps.of(observation.queues), of_limits, of_room)
    failures = fallback.step(memory.failures, missing)
    stood_in = fallback.stood_in(spec, failures, missing)
    # Who only looks contests nothing.
    rivals = observation.rivals if spec.mode is Mode.ENFORCE else None
    return Signals(
        now=now,
        workers=there,
        backlog=queues.backlog(spec, observation, target.replicas),
        gaps=fallback.left(missing, stood_in),
        is_first_look=not memory.history.recommendations,
        working_sets=sets,
        room=room.room(spec, observation, sets.percentile or 0, now)
        if spec.memory.enabled
        else None,
        expiries=queues.expiries(observation),
        restarts=workers.restarts(target),
        acked=queues.acked(spec, observation.rates),
        llms=llms,
        unseen=observation.queue_gaps,
        failures=failures,
        stood_in=stood_in,
        writers=target.writers,
        rivals=rivals.value if isinstance(rivals, Available) else (),
        rivals_gap=rivals if isinstance(rivals, Unavailable) else None,
        holding=queues.holding(spec, observation),
        stopped=stopping.stopped(target, now),
    )
