"""Which missing readings hold a pool, and the one that must not."""

from typing import Any

import pytest

from builders import API_KEY, NOW, WHOLE_KEY, llm, memory, observe, pool, seen, think, unseen
from scanpool.decide import Memory, assess
from scanpool.decide.behavior import Recommendation
from scanpool.decide.history import History
from scanpool.models.conditions import LimitedBy, Reason
from scanpool.models.llm import Admin
from scanpool.models.observation import ConfiguredLimits, Observation, ProviderState
from scanpool.models.reading import Unavailable
from scanpool.models.spec import PoolSpec

SPEC = pool(min_replicas=0, llm=llm(usage=WHOLE_KEY))


def remembering(replicas: int) -> Memory:
    return memory(History((Recommendation(NOW - 10, replicas),)))


def gaps(spec: PoolSpec, observation: Observation) -> tuple[Unavailable, ...]:
    return assess(spec, observation, Memory(), NOW).gaps


def test_a_pool_at_zero_starts_one_replica_although_its_key_shows_no_use_yet() -> None:
    unused = unseen(Reason.USAGE_NOT_FOUND)
    found = think(SPEC, observe(0, 300, usage=unused), remembering(0))
    assert found.signals.gaps == ()
    assert found.decision.desired == 1
    assert found.decision.limited_by is LimitedBy.TOKENS


@pytest.mark.parametrize(
    ("replicas", "reason"),
    [
        (1, Reason.USAGE_NOT_FOUND),
        (0, Reason.PROMETHEUS_UNREACHABLE),
        (0, Reason.USAGE_IMPLAUSIBLE),
    ],
)
def test_every_other_gap_in_the_use_holds(replicas: int, reason: Reason) -> None:
    observation = observe(replicas, 300, usage=unseen(reason))
    found = think(SPEC, observation, remembering(replicas))
    assert [gap.reason for gap in found.signals.gaps] == [reason]
    assert found.decision.desired == replicas


def test_nothing_to_do_keeps_a_pool_at_zero() -> None:
    unused = unseen(Reason.USAGE_NOT_FOUND)
    assert think(SPEC, observe(0, 0, usage=unused), remembering(0)).decision.desired == 0
    assert gaps(SPEC, observe(0, 0, usage=unused)) == ()


# --- The limit ---

ADMIN = Admin(api_key_secret_ref=API_KEY, project_id="proj_abc")
LIMITED = ProviderState(tokens_per_minute=2_000_000)
DOWN = unseen(Reason.PROVIDER_UNREACHABLE)
DENIED = unseen(Reason.PROVIDER_AUTHENTICATION_FAILED)


@pytest.mark.parametrize(
    ("declared", "provider", "configured", "reasons"),
    [
        pytest.param(None, seen(LIMITED), None, [], id="the-probe-tells"),
        pytest.param(None, seen(LIMITED), DENIED, [], id="the-admin-api-is-not-missed"),
        pytest.param(
            None, seen(ProviderState()), seen(ConfiguredLimits(1)), [], id="the-admin-api-tells"
        ),
        pytest.param(
            None,
            seen(ProviderState(input_tokens_per_minute=1)),
            None,
            [],
            id="input-is-enough",
        ),
        pytest.param(1, seen(ProviderState()), DENIED, [], id="the-spec-tells"),
        pytest.param(None, seen(ProviderState()), None, [Reason.LIMIT_UNKNOWN], id="nobody-tells"),
        pytest.param(
            None,
            seen(ProviderState(requests_per_minute=1)),
            None,
            [Reason.LIMIT_UNKNOWN],
            id="requests-only",
        ),
        pytest.param(
            None, seen(ProviderState()), DENIED, [DENIED.reason], id="the-admin-api-fails"
        ),
        pytest.param(None, DOWN, None, [DOWN.reason], id="the-probe-fails"),
        pytest.param(None, DOWN, DENIED, [DOWN.reason, DENIED.reason], id="both-fail"),
        pytest.param(
            None,
            DOWN,
            seen(ConfiguredLimits(1)),
            [DOWN.reason],
            id="the-probe-is-missed-though",
        ),
        pytest.param(
            None,
            seen(ProviderState(billing_code="insufficient_quota")),
            None,
            [],
            id="refused-to-be-paid",
        ),
        pytest.param(
            None,
            None,
            seen(ConfiguredLimits(requests_per_minute=1)),
            [Reason.LIMIT_UNKNOWN],
            id="the-admin-api-alone-tells-requests-only",
        ),
    ],
)
def test_a_limit_that_nobody_tells_is_a_gap(
    declared: int | None, provider: Any, configured: Any, reasons: list[Reason]
) -> None:
    spec = pool(llm=llm(tokens_per_minute=declared, api_key_secret_ref=API_KEY, admin=ADMIN))
    observation = observe(1, 10, provider=provider, configured=configured)

    assert [gap.reason for gap in gaps(spec, observation)] == reasons


def test_an_unknown_limit_says_what_to_set() -> None:
    spec = pool(llm=llm(tokens_per_minute=None, api_key_secret_ref=API_KEY))

    (gap,) = gaps(spec, observe(1, 10, provider=seen(ProviderState())))
    assert gap.message == (
        "https://api.openai.com/v1 tells no tokens-per-minute limit for model gpt-5.2: "
        "set llm.tokensPerMinute"
    )
