"""What people see of a pool of several limits."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from builders import API_KEY, NOW, WHOLE_KEY, observe, rates, seen, settled, think
from builders import pool as pool_of
from scanpool.decide import checkpoint
from scanpool.models.conditions import ConditionType, Reason
from scanpool.models.fields import SecretKeyRef
from scanpool.models.llm import NamedLlm, OnQuotaExhausted, Ramp
from scanpool.models.observation import KeyUsage, ProviderState, QueueDepth, of_limits
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.models.spec import Cost, PoolSpec, Queue
from scanpool.report import status
from scanpool.report.conditions import of_shards
from scanpool.report.explain import explain
from scanpool.report.explain.lift import lift
from scanpool.report.metrics import Metrics
from scanpool.report.news import is_news
from scanpool.report.pool_status import PoolStatus
from scanpool.report.status import Outcome, Since

GPT, GEMINI = "gpt", "gemini"
LIMITS = {"tokens_per_minute": 2_000_000, "tokens_per_replica_minute": 500_000}
PAID = seen(ProviderState(tokens_per_minute=2_000_000))
BILLED = seen(ProviderState(billing_code="insufficient_quota"))
POOL = {"namespace": "scan", "pool": "scan-worker"}


def spec(**gpt: Any) -> PoolSpec:
    """Build a pool of two limits; two replicas of the first, three of the second."""
    first = {**LIMITS, "tokens_per_minute": 1_200_000, **gpt}
    return pool_of(
        Queue(name="scan.vision", tokens=(Cost(llm=GPT, per_message=3_000),)),
        Queue(name="chat.process", tokens=(Cost(llm=GEMINI, per_message=2_000),)),
        llms=(
            NamedLlm(name=GPT, model="gpt-5.2", **first),
            NamedLlm(name=GEMINI, model="gemini-2.5-flash", **LIMITS),
        ),
    )


def shown(
    pool: PoolSpec,
    gpt: Available[ProviderState] = PAID,
    gemini: Available[ProviderState] = PAID,
    worked_off: float = 1.0,
    waiting: int = 100,
    keys: Available[Mapping[str, Reading[ProviderState]]] | None = None,
    previous: PoolStatus | None = None,
) -> PoolStatus:
    """Return the status of two replicas for which more waits than any limit feeds.

    So many messages are `waiting` for the second limit; the first may have several `keys`.
    """
    names = ("scan.vision", "chat.process")
    whole = observe(
        2,
        queues=seen((QueueDepth(names[0], 100, 0), QueueDepth(names[1], waiting, 0))),
        rates=seen(tuple(rates(worked_off, name) for name in names)),
    )
    seen_of = {
        GPT: replace(whole, provider=gpt, keys=keys),
        GEMINI: replace(whole, provider=gemini),
    }
    signals, memory, decision = think(pool, of_limits(seen_of), settled(2))
    outcome = Outcome(signals, decision)
    since = Since(previous or PoolStatus(), 1)
    return status.of_tick(since, pool, outcome, checkpoint(memory))


def condition(of: PoolStatus, kind: ConditionType) -> tuple[str, str, str]:
    (found,) = (one for one in of.conditions if one.type is kind)
    return found.status, found.reason, found.message


def test_the_status_shows_each_with_its_numbers_and_which_one_binds() -> None:
    found = shown(spec())

    assert found.llms is not None
    assert [(one.name, one.ceilings, one.limit_tokens_per_minute) for one in found.llms] == [
        (GPT, {"tokens": 2}, 1_200_000),
        (GEMINI, {"tokens": 3}, 2_000_000),
    ]
    assert [one.used_tokens_per_minute for one in found.llms] == [180_000, 120_000]
    assert found.binding_llm == GPT
    assert found.llm is not None
    assert dict(found.llm) == {name: getattr(found.llms[0], name) for name in dict(found.llm)}
    assert found.ceilings == {"tokens": 2}


def test_what_is_told_of_a_limit_as_before_is_what_was_told_of_that_limit() -> None:
    before = shown(spec())
    assert before.llms is not None
    # As they stand in a status by another hand.
    turned = before.model_copy(update={"llms": before.llms[::-1]})

    found = shown(spec(), previous=turned)

    assert found == before
    assert found.llms is not None
    for one, was in zip(found.llms, before.llms, strict=True):
        assert one.figures
        assert all(new is old for new, old in zip(one.figures, was.figures, strict=True))


def test_the_condition_says_what_waits_and_what_goes_on() -> None:
    to_zero = spec(on_quota_exhausted=OnQuotaExhausted.SCALE_TO_ZERO)
    found = shown(to_zero, gpt=BILLED)

    told, reason, message = condition(found, ConditionType.QUOTA_EXHAUSTED)
    assert (told, reason) == ("True", "QuotaExhausted")
    assert message.startswith(f"{GPT}: the provider refuses every call with insufficient_quota")
    assert "onQuotaExhausted: ScaleToZero" in message
    assert message.endswith(
        "needed by scan.vision, whose messages fail in the workers that run, while chat.process "
        "goes on"
    )
    assert GEMINI not in message


def test_the_condition_says_that_messages_wait_where_no_worker_is_left() -> None:
    to_zero = spec(on_quota_exhausted=OnQuotaExhausted.SCALE_TO_ZERO)
    _, _, message = condition(shown(to_zero, BILLED, waiting=0), ConditionType.QUOTA_EXHAUSTED)
    assert message.endswith(
        "needed by scan.vision, whose messages wait, while chat.process goes on"
    )


def test_a_key_that_nobody_pays_lets_the_queues_go_on_with_the_others() -> None:
    refs = tuple(SecretKeyRef(name="keys", key=key) for key in ("a", "b"))
    keyed = spec(api_key_secret_refs=refs)
    answers = seen({"keys/a": PAID, "keys/b": BILLED})
    _, reason, message = condition(shown(keyed, keys=answers), ConditionType.QUOTA_EXHAUSTED)
    assert reason == "KeyQuotaExhausted"
    assert message.endswith("the pool goes on with 1 other key; needed by scan.vision")


@pytest.mark.parametrize(
    ("gpt", "gemini", "names"),
    [(BILLED, BILLED, [GPT, GEMINI]), (PAID, BILLED, [GEMINI]), (BILLED, PAID, [GPT])],
)
def test_the_condition_names_the_limits_that_are_refused(
    gpt: Available[ProviderState], gemini: Available[ProviderState], names: list[str]
) -> None:
    _, reason, message = condition(shown(spec(), gpt, gemini), ConditionType.QUOTA_EXHAUSTED)
    assert reason == "QuotaExhausted"
    assert [name for name in (GPT, GEMINI) if f"{name}: the provider" in message] == names


def test_metrics_tell_of_each_and_without_a_name_of_the_one_that_binds() -> None:
    registry = CollectorRegistry()
    Metrics(registry).record("scan", "scan-worker", shown(spec(), gemini=BILLED))

    def value(metric: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"scanpool_pool_{metric}", {**POOL, **labels})

    assert value("tpm_limit") == value("llm_tpm_limit", llm=GPT) == 1_200_000
    assert value("llm_tpm_limit", llm=GEMINI) == 2_000_000
    assert value("llm_tpm_used", llm=GEMINI) == 120_000
    assert value("llm_ceiling_replicas", llm=GPT, limit="tokens") == 2
    assert value("llm_ceiling_replicas", llm=GEMINI, limit="tokens") is None
    assert [value("llm_refused_unpaid", llm=name) for name in (GPT, GEMINI)] == [0, 1]


def test_explain_tells_of_each() -> None:
    pool = spec()
    body = {
        "metadata": {**POOL, "name": "scan-worker", "uid": "uid"},
        "spec": pool.model_dump(mode="json", by_alias=True, exclude_none=True),
        "status": shown(pool).model_dump(mode="json", by_alias=True, exclude_none=True),
    }
    told = explain(body)

    assert "  limit gpt: at most 2 by tokens, the smallest" in told
    assert "  limit gemini: at most 3 by tokens\n" in told
    assert "The figures of gpt, at " in told
    assert "The figures of gemini, at " in told
    assert "What would lift it: needs 5.9 M TPM for 10 replicas." in told


@pytest.mark.parametrize(
    ("other", "is_told"),
    [
        pytest.param({"worked_off": 1.05}, False, id="noise"),
        pytest.param({"worked_off": 2.0}, True, id="use"),
        pytest.param({"gemini": BILLED}, True, id="a-breaker"),
    ],
)
def test_what_is_news_of_a_limit_is_news(other: dict[str, Any], is_told: bool) -> None:
    assert is_news(shown(spec()), shown(spec(), **other)) is is_told


def test_a_limit_that_came_or_went_is_news() -> None:
    one = shown(spec())
    assert one.llms is not None
    assert is_news(one, one.model_copy(update={"llms": one.llms[:1]}))


def test_times_move_no_status() -> None:
    later = shown(spec(), seen(PAID.value, NOW + 60))
    assert not is_news(shown(spec()), later)


def test_a_key_that_another_shard_uses_is_named_among_several() -> None:
    refs = [SecretKeyRef(name="keys", key=name) for name in (GPT, GEMINI)]
    llms = [one.model_copy(update={"api_key_secret_ref": ref}) for one, ref in zip(
        spec().llms, refs, strict=True
    )]  # fmt: skip
    keyed = spec().model_copy(update={"llms": tuple(llms)})

    (split,) = of_shards(keyed, {GPT: (), GEMINI: ("scanpool-b", "scanpool-c")}).values()
    (whole,) = of_shards(keyed, {GPT: (), GEMINI: ()}).values()

    assert (split.status, split.reason) == ("True", Reason.KEY_IN_OTHER_SHARDS)
    assert split.message.startswith(
        "the key gemini of Secret keys is used by pools of scanpool-b, scanpool-c, too: "
    )
    assert "key gpt" not in split.message
    assert (whole.status, whole.reason) == ("False", Reason.KEY_IN_ONE_SHARD)
    assert whole.message == (
        "no other shard is known to use the key gpt of Secret keys or the key gemini of Secret keys"
    )


UNKNOWN_COST = {"tokens_per_replica_minute": None}
WITH_USE = {"usage": WHOLE_KEY}
MISSING = Unavailable(Reason.MODEL_NOT_FOUND, "knows no model; correct llm.model or llm.baseUrl")
FULL = ProviderState(tokens_per_minute=1_200_000, tokens_remaining=1_200_000)


@pytest.mark.parametrize(
    ("changes", "readings", "kind", "named"),
    [
        pytest.param(UNKNOWN_COST, {}, "ScalingLimited", ["tokensPerReplicaMinute"], id="cost"),
        pytest.param({}, {"provider": MISSING}, "Ready", ["model", "baseUrl"], id="a-reading"),
        pytest.param(
            {"tokens_per_minute": None, "api_key_secret_ref": API_KEY},
            {"provider": seen(ProviderState())},
            "Ready",
            ["tokensPerMinute"],
            id="no-limit",
        ),
        pytest.param(
            WITH_USE,
            {"rates": None, "usage": seen(KeyUsage(1.0))},
            "MetricsAvailable",
            ["usage.prometheus.ownLabels"],
            id="own-use",
        ),
        pytest.param(
            WITH_USE,
            {"usage": seen(KeyUsage(1.0))},
            "MetricsAvailable",
            ["usage.prometheus"],
            id="frozen",
        ),
        pytest.param({}, {"provider": None}, "QuotaExhausted", ["apiKeySecretRef"], id="no-probe"),
        pytest.param(
            WITH_USE,
            {"usage": seen(KeyUsage(9_000_000.0)), "provider": seen(FULL)},
            "MetricsAvailable",
            ["usage.prometheus"],
            id="implausible",
        ),
    ],
)
def test_messages_name_the_fields_of_their_limit(
    changes: dict[str, Any], readings: dict[str, Any], kind: str, named: list[str]
) -> None:
    pool = spec(**changes)
    # What does not move for minutes, or contradicts the level for so long, is not believed.
    ticks = 1 if "rates" in readings else 4
    names = ("scan.vision", "chat.process")
    whole = observe(
        2,
        queues=seen(tuple(QueueDepth(name, 100, 0) for name in names)),
        rates=seen(tuple(rates(1.0, name) for name in names)),
    )
    seen_of = of_limits({GPT: replace(whole, **readings), GEMINI: replace(whole, provider=PAID)})
    known = settled(2)
    for seconds in (0, 60, 120, 180)[:ticks]:
        signals, known, decision = think(pool, seen_of, known, NOW + seconds)
    outcome = Outcome(signals, decision)
    found = status.of_tick(Since(PoolStatus(), 1), pool, outcome, checkpoint(known))

    _, _, message = condition(found, ConditionType(kind))
    assert [field for field in named if f"llms[{GPT}].{field}" not in message] == []
    told = [one.message for one in found.conditions] + [one.reason for one in found.steps]
    assert [one for one in told if re.search(r"\bllm\.[a-z]", one)] == []
    assert [one for one in told if f"llms[{GEMINI}]" in one] == []


def test_what_would_lift_it_names_the_fields_of_the_limit_that_binds() -> None:
    ramp = Ramp(above_tokens_per_minute=1)
    pool = spec(tokens_per_minute=100_000_000, ramp=ramp)
    known = settled(2)
    depths = (QueueDepth("scan.vision", 900, 0), QueueDepth("chat.process", 0, 0))
    acked = (rates(1.0, "scan.vision"), rates(0.0, "chat.process"))
    whole = observe(2, queues=seen(depths), rates=seen(acked))
    for seconds in (0, 60):
        signals, known, decision = think(
            pool, of_limits({GPT: whole, GEMINI: whole}), known, NOW + seconds
        )
    found = status.of_tick(
        Since(PoolStatus(), 1), pool, Outcome(signals, decision), checkpoint(known)
    )
    told = lift(pool, found)
    assert told is not None
    assert "llms[gpt].ramp" in told
