"""What the dashboard shows, from top to bottom. To add a panel, add a line."""

from dataclasses import dataclass
from enum import StrEnum

from scanpool.dashboard.queries import METRICS, each, of_key, state, states, tick_seconds, ticks
from scanpool.models.conditions import ConditionType

READY = str(ConditionType.READY)
POOL, KEY = "{{namespace}}/{{pool}}", "{{key}}"
OF_LIMIT = f"{POOL} {{{{llm}}}}"
ONLY_PRICED = "Only of pools with prices."
ONLY_SEVERAL = "Only of pools that have several limits."
MEDIAN, MOST = 0.5, 0.99


class Unit(StrEnum):
    """What an axis counts, by Grafana's names."""

    NUMBER = "short"
    SHARE = "percentunit"
    SECONDS = "s"


class Kind(StrEnum):
    """How a panel shows its queries, by Grafana's names."""

    LINES = "timeseries"
    STATES = "state-timeline"
    NUMBER = "stat"


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and what its series are called; a limit is dashed."""

    expression: str
    legend: str = ""
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `states` are what the values of a state are called, from 0 on.

    What its metrics are is told by their own words; `note` is what they leave open.
    """

    title: str
    queries: tuple[Query, ...]
    kind: Kind = Kind.LINES
    unit: Unit = Unit.NUMBER
    states: tuple[str, ...] = ()
    note: str = ""

    @property
    def words(self) -> str:
        """What the panel shows."""
        shown = " ".join(query.expression for query in self.queries)
        metrics = (one for one in METRICS.values() if f"{one.name}{{" in shown)
        told = (one.words for one in metrics if one.name != METRICS["key"].name)
        return "\n\n".join((self.note, *told) if self.note else told)


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side, below one title."""

    title: str
    panels: tuple[Panel, ...]


def _number(title: str, expression: str, unit: Unit = Unit.NUMBER) -> Panel:
    return Panel(title, (Query(expression),), Kind.NUMBER, unit)


def _states(title: str, metric: str, **labels: str) -> Panel:
    query = Query(state(metric, **labels), POOL)
    return Panel(title, (query,), Kind.STATES, states=states(metric))


ROWS = (
    Row(
        "All pools",
        (
            _number("Pools not ready", f"sum(1 - {each('condition', type=READY, status='True')})"),
            _number("Replicas", f"sum({each('replicas')})"),
            _number("Backlog", f"sum({each('backlog_messages')})"),
            _number(
                "Least headroom of a key",
                f"min({of_key('tpm_headroom')} / {of_key('tpm_limit')})",
                Unit.SHARE,
            ),
            _number("429s a minute", f"sum({of_key('rate_limited_per_minute')})"),
            _number("Breakers not closed", f"sum(1 - {each('breaker', state='Closed')})"),
        ),
    ),
    Row(
        "Keys: a key is called after the first of its pools",
        (
            Panel(
                "Tokens per minute",
                (
                    Query(of_key("tpm_used"), f"{KEY} used"),
                    Query(of_key("tpm_limit"), f"{KEY} limit", dashed=True),
                ),
            ),
            Panel("Headroom, tokens per minute", (Query(of_key("tpm_headroom"), KEY),)),
            Panel(
                "Bucket, tokens",
                (
                    Query(of_key("bucket_tokens"), f"{KEY} level"),
                    Query(of_key("bucket_high_tokens"), f"{KEY} high mark", dashed=True),
                    Query(of_key("bucket_low_tokens"), f"{KEY} low mark", dashed=True),
                    Query(of_key("bucket_reserve_tokens"), f"{KEY} reserve", dashed=True),
                ),
            ),
        ),
    ),
    Row(
        "Who uses the keys",
        (
            Panel(
                "Tokens per minute, own and others'",
                (
                    Query(each("tpm_own"), f"{POOL} own"),
                    Query(each("tpm_others"), f"{POOL} others", dashed=True),
                ),
            ),
            Panel(
                "Shares of a shared key, tokens per minute",
                (
                    Query(each("tpm_budget_grant"), f"{POOL} gets"),
                    Query(each("tpm_budget_claim"), f"{POOL} asks", dashed=True),
                ),
                note="Only of pools that are not alone on their key.",
            ),
            _states("Zone", "zone"),
        ),
    ),
    Row(
        "Several limits of a pool",
        (
            Panel(
                "Tokens per minute of each limit",
                (
                    Query(each("llm_tpm_used", "llm"), f"{OF_LIMIT} used"),
                    Query(each("llm_tpm_limit", "llm"), f"{OF_LIMIT} limit", dashed=True),
                ),
                note=ONLY_SEVERAL,
            ),
            Panel(
                "Ceilings of each limit, replicas",
                (Query(each("llm_ceiling_replicas", "llm", "limit"), f"{OF_LIMIT} {{{{limit}}}}"),),
                note="The smallest binds. Nothing while a limit is not used.",
            ),
            Panel(
                "Refused unpaid, by limit",
                (Query(each("llm_refused_unpaid", "llm"), OF_LIMIT),),
                note=ONLY_SEVERAL,
            ),
            Panel(
                "Tokens per minute that each key adds",
                (Query(each("tpm_key_part", "name"), f"{POOL} {{{{name}}}}"),),
            ),
        ),
    ),
    Row(
        "Replicas",
        (
            Panel(
                "Replicas and ceilings",
                (
                    Query(each("replicas"), f"{POOL} replicas"),
                    Query(each("ready_replicas"), f"{POOL} ready"),
                    Query(each("desired_replicas"), f"{POOL} desired"),
                    Query(
                        each("ceiling_replicas", "limit"),
                        f"{POOL} {{{{limit}}}} limit",
                        dashed=True,
                    ),
                ),
            ),
            _states("What binds", "limited_by"),
        ),
    ),
    Row(
        "Backlog",
        (
            Panel("Messages", (Query(each("backlog_messages"), POOL),)),
            Panel(
                "Time to work it off",
                (
                    Query(
                        f"60 * sum by (namespace, pool) ({each('backlog_tokens', 'name')})"
                        f" / ({each('tpm_own')} > 0)",
                        POOL,
                    ),
                ),
                unit=Unit.SECONDS,
                note="About as long as a message that comes now will wait, at this pace: the "
                "tokens of the messages over those that the pool uses.",
            ),
            Panel("Tokens of a busy replica, per minute", (Query(each("tpm_per_replica"), POOL),)),
        ),
    ),
    Row(
        "Refused calls",
        (
            Panel(
                "Refused calls a minute, by code",
                (Query(of_key("refused_per_minute", "code"), f"{KEY} {{{{code}}}}"),),
            ),
            Panel("LLM calls per message", (Query(each("calls_per_task"), POOL),)),
            Panel(
                "Back-off: share of the token ceiling in force",
                (Query(each("backoff_factor"), POOL),),
                unit=Unit.SHARE,
            ),
        ),
    ),
    Row(
        "Money",
        (
            Panel(
                "Spent today, and the budget",
                (
                    Query(each("spend_today"), POOL),
                    Query(each("spend_limit"), f"{POOL} budget", dashed=True),
                ),
                note=ONLY_PRICED,
            ),
            Panel("Spend per hour", (Query(each("spend_per_hour"), POOL),)),
            Panel("Cost of a call", (Query(each("spend_per_call"), POOL),)),
        ),
    ),
    Row(
        "Breaker and readiness",
        (_states("Billing breaker", "breaker"), _states("Ready", "condition", type=READY)),
    ),
    Row(
        "The operator's loop",
        (
            Panel(
                "Ticks a minute, by outcome",
                (Query(ticks(), "{{outcome}}"),),
                note="Each pool ticks once per polling interval. An error is a defect: the log has "
                "its trace.",
            ),
            Panel(
                "Time that a tick takes",
                (Query(tick_seconds(MEDIAN), "median"), Query(tick_seconds(MOST), "99%")),
                unit=Unit.SECONDS,
                note="A tick waits for its slowest reading, and for no longer than 15 s.",
            ),
            Panel(
                "Age of readings",
                (Query(f"max by (figure) ({each('figure_age_seconds', 'figure')})", "{{figure}}"),),
                unit=Unit.SECONDS,
            ),
        ),
    ),
)
