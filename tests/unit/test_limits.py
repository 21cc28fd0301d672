"""Who tells the limits, whose word counts, and how soon a new one is believed."""

import pytest

from builders import API_KEY, NOW, llm, observe, seen, unseen
from scanpool.decide import limits
from scanpool.decide.limits import Limit
from scanpool.models.budget import Unit
from scanpool.models.memory import Memory
from scanpool.models.observation import ConfiguredLimits, Observation, ProviderState
from scanpool.models.reading import Reading


def answer(limit: int | None, at: float = NOW) -> Reading[ProviderState]:
    """Build an answer of the provider that tells the same number for tokens and requests."""
    return seen(ProviderState(tokens_per_minute=limit, requests_per_minute=limit), at)


def configured(limit: int | None, at: float = NOW) -> Reading[ConfiguredLimits]:
    """Build what the Admin API says, the same number for tokens and requests."""
    return seen(ConfiguredLimits(tokens_per_minute=limit, requests_per_minute=limit), at)


def found(declared: int | None, observation: Observation) -> dict[Unit, Limit]:
    spec = llm(tokens_per_minute=declared, requests_per_minute=declared, api_key_secret_ref=API_KEY)
    return dict(limits.in_force(spec, limits.learn(observation, Memory(), NOW)))


@pytest.mark.parametrize(
    ("declared", "probed", "admin", "limit"),
    [
        (2_000_000, 4_000_000, None, Limit(2_000_000, "spec")),
        (4_000_000, 2_000_000, None, Limit(2_000_000, "probe", NOW)),
        (2_000_000, 2_000_000, None, Limit(2_000_000, "probe", NOW)),
        (2_000_000, None, None, Limit(2_000_000, "spec")),
        (None, 2_000_000, None, Limit(2_000_000, "probe", NOW)),
        # The Admin API counts only where the probe is silent, be it the smaller.
        (None, 2_000_000, 1_000_000, Limit(2_000_000, "probe", NOW)),
        (None, 2_000_000, 4_000_000, Limit(2_000_000, "probe", NOW)),
        (None, None, 1_000_000, Limit(1_000_000, "admin", NOW)),
        (2_000_000, None, 1_000_000, Limit(1_000_000, "admin", NOW)),
        (2_000_000, None, 4_000_000, Limit(2_000_000, "spec")),
        (1_000_000, 2_000_000, 500_000, Limit(1_000_000, "spec")),
        (None, None, None, None),
    ],
)
def test_of_the_providers_word_and_the_specs_the_smaller_counts(
    declared: int | None, probed: int | None, admin: int | None, limit: Limit | None
) -> None:
    observation = observe(provider=answer(probed), configured=configured(admin))

    expected = {} if limit is None else {Unit.TOKENS: limit, Unit.REQUESTS: limit}
    assert found(declared, observation) == expected


@pytest.mark.parametrize("provider", [None, unseen()])
def test_without_an_answer_of_the_provider_the_specs_limit_counts(provider: None) -> None:
    spec = llm(requests_per_minute=500)
    memory = limits.learn(observe(provider=provider), Memory(), NOW)

    assert limits.in_force(spec, memory) == {
        Unit.TOKENS: Limit(2_000_000, "spec"),
        Unit.REQUESTS: Limit(500, "spec"),
    }
