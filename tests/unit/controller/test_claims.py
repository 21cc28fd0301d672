from typing import Any

import pytest

from scanpool.controller.claims import Claims, Identity
from scanpool.models.claims import Claim, Need, Unit

NOW = 1_000.0
LASTS = 30.0
KEY = "sk-proj-4Xy"
MODEL = "gpt-5.2"


def claim(pool: str, **changes: Any) -> Claim:
    needs = {Unit.TOKENS: Need(500_000.0, 0.0, 1_700_000.0, 1_850_000.0)}
    usual: dict[str, Any] = {"weight": 1, "floor": 1, "wanted": 3, "held": 1, "needs": needs}
    return Claim(pool, **usual | changes)


@pytest.fixture
def claims() -> Claims:
    return Claims()


@pytest.fixture
def shared(claims: Claims) -> Identity:
    return claims.identity("openai", KEY, MODEL)


@pytest.mark.parametrize("again", [KEY, f"{KEY}\n", f"  {KEY} \r\n"])
def test_equal_keys_share_a_limit_whichever_secret_they_are_in(
    claims: Claims, shared: Identity, again: str
) -> None:
    assert claims.identity("openai", again, MODEL) == shared


@pytest.mark.parametrize(
    ("provider", "key", "model"),
    [
        pytest.param("openai", KEY, "gpt-5.2-mini", id="model"),
        pytest.param("openai", f"{KEY}z", MODEL, id="key"),
        pytest.param("openai", KEY.lower(), MODEL, id="case of the key"),
        pytest.param("azure-openai", KEY, MODEL, id="provider"),
        pytest.param("openai", f'{KEY}", "{MODEL}', "", id="nothing runs together"),
    ],
)
def test_what_differs_is_another_limit(
    claims: Claims, shared: Identity, provider: str, key: str, model: str
) -> None:
    assert claims.identity(provider, key, model) != shared


@pytest.mark.parametrize(
    ("provider", "one", "other"),
    [
        ("openai", ["gpt-5.2"], ["gpt-5.2-2025-12-11"]),
        ("openai", ["gpt-5.2-2025-08-07"], ["gpt-5.2-2025-12-11"]),
        ("openai", ["gpt-4o"], ["gpt-4o-latest"]),
        ("anthropic", ["claude-sonnet-4-5"], ["claude-sonnet-4-5-20250929"]),
        # It is enough that one of them knows.
        ("openai", ["gpt-5.2", "gpt-5.2-codex"], ["gpt-5.2-codex"]),
        ("openai", ["gpt-5.2-codex-2025-12-11"], ["gpt-5.2", "gpt-5.2-codex"]),
        ("anthropic", ["claude-opus-4-1", "claude-opus-4-0"], ["claude-opus-4-20250514"]),
    ],
)
def test_pools_that_name_different_models_of_one_limit_share_it(
    claims: Claims, provider: str, one: list[str], other: list[str]
) -> None:
    limits = [claims.identity(provider, KEY, model, more) for model, *more in (one, other)]
    for pool, limit in zip(("scan/a", "scan/b"), limits, strict=True):
        claims.publish(limit, claim(pool), NOW, LASTS)

    assert claims.peers(limits[0], "scan/a", NOW) == (claim("scan/b"),)
    assert claims.peers(limits[1], "scan/b", NOW) == (claim("scan/a"),)


def test_a_third_pool_says_that_two_share_a_limit_for_as_long_as_its_claim_lasts(
    claims: Claims,
) -> None:
    first = claims.identity("openai", KEY, "gpt-5.2")
    second = claims.identity("openai", KEY, "o4")
    both = claims.identity("openai", KEY, "o3", ["gpt-5.2", "o4"])
    claims.publish(first, claim("scan/a"), NOW, LASTS)
    claims.publish(second, claim("scan/b"), NOW, LASTS)
    assert claims.peers(first, "scan/a", NOW) == ()

    claims.publish(both, claim("scan/c"), NOW, LASTS / 2)
    assert claims.peers(first, "scan/a", NOW) == (claim("scan/b"), claim("scan/c"))
    assert claims.peers(first, "scan/a", NOW + LASTS / 2) == ()


def test_deployments_of_azure_share_nothing_by_their_names(claims: Claims) -> None:
    first = claims.identity("azure-openai", KEY, "gpt-5.2")
    claims.publish(first, claim("scan/a"), NOW, LASTS)

    dated = claims.identity("azure-openai", KEY, "gpt-5.2-2025-12-11")
    assert claims.peers(dated, "scan/b", NOW) == ()


def test_another_process_tells_limits_apart_by_another_salt(shared: Identity) -> None:
    assert Claims().identity("openai", KEY, MODEL) != shared


def test_a_pool_sees_what_the_others_claim_by_name(claims: Claims, shared: Identity) -> None:
    for pool in ("scan/c", "scan/a", "other/b"):
        claims.publish(shared, claim(pool), NOW, LASTS)
    elsewhere = claims.identity("openai", KEY, "gpt-5.2-mini")
    claims.publish(elsewhere, claim("scan/d"), NOW, LASTS)

    assert claims.peers(shared, "scan/c", NOW) == (claim("other/b"), claim("scan/a"))
    assert claims.peers(elsewhere, "scan/d", NOW) == ()
    assert claims.peers(elsewhere, "scan/new", NOW) == (claim("scan/d"),)


def test_a_claim_is_replaced_by_the_next(claims: Claims, shared: Identity) -> None:
    claims.publish(shared, claim("scan/a", held=1), NOW, LASTS)
    claims.publish(shared, claim("scan/a", held=2), NOW, LASTS)

    assert claims.peers(shared, "scan/b", NOW) == (claim("scan/a", held=2),)


def test_a_claim_lasts_as_long_as_it_was_said_to(claims: Claims, shared: Identity) -> None:
    claims.publish(shared, claim("scan/a"), NOW, LASTS)

    assert claims.peers(shared, "scan/b", NOW + LASTS - 0.1) == (claim("scan/a"),)
    assert claims.peers(shared, "scan/b", NOW + LASTS) == ()

    claims.publish(shared, claim("scan/a"), NOW + LASTS, LASTS)
    assert claims.peers(shared, "scan/b", NOW + LASTS) == (claim("scan/a"),)


def test_with_another_key_a_pool_moves_to_another_limit(claims: Claims, shared: Identity) -> None:
    claims.publish(shared, claim("scan/a"), NOW, LASTS)
    rotated = claims.identity("openai", "sk-proj-new", MODEL)

    claims.publish(rotated, claim("scan/a"), NOW, LASTS)

    assert claims.peers(shared, "scan/b", NOW) == ()
    assert claims.peers(rotated, "scan/b", NOW) == (claim("scan/a"),)


def test_what_pools_claim_is_followed_from_change_to_change(
    claims: Claims, shared: Identity
) -> None:
    for pool in ("scan/a", "scan/b", "scan/c"):
        claims.publish(shared, claim(pool), NOW, LASTS)
        assert claims.peers(shared, "scan/me", NOW)[-1] == claim(pool)

    claims.publish(shared, claim("scan/b", held=2), NOW, LASTS / 2)
    assert claims.peers(shared, "scan/a", NOW) == (claim("scan/b", held=2), claim("scan/c"))
    assert claims.peers(shared, "scan/a", NOW + LASTS / 2) == (claim("scan/c"),)

    claims.withdraw("scan/c", but={"other"})
    assert claims.peers(shared, "scan/a", NOW + LASTS / 2) == ()


def test_a_claim_that_is_withdrawn_but_for_one_limit_stays_there(
    claims: Claims, shared: Identity
) -> None:
    other = claims.identity("openai", "sk-proj-other", MODEL)
    claims.publish(shared, claim("scan/a"), NOW, LASTS, "one")
    claims.publish(other, claim("scan/a"), NOW, LASTS, "two")

    claims.withdraw("scan/a", but={"two"})

    assert claims.peers(shared, "scan/b", NOW) == ()
    assert claims.peers(other, "scan/b", NOW) == (claim("scan/a"),)


def test_a_pool_with_two_limits_that_are_one_claims_it_twice(
    claims: Claims, shared: Identity
) -> None:
    dated = claims.identity("openai", KEY, f"{MODEL}-2025-12-11")
    claims.publish(shared, claim("scan/a"), NOW, LASTS, "plain")
    assert claims.peers(shared, "scan/b", NOW) == (claim("scan/a"),)

    claims.publish(dated, claim("scan/a", held=2), NOW, LASTS, "dated")
    assert claims.peers(shared, "scan/b", NOW) == (
        claim("scan/a (dated)", held=2), claim("scan/a (plain)"),
    )  # fmt: skip
    assert claims.peers(shared, "scan/a", NOW) == ()

    claims.withdraw("scan/a", but={"plain"})
    assert claims.peers(shared, "scan/b", NOW) == (claim("scan/a"),)


def test_what_is_gone_leaves_nothing_behind(claims: Claims, shared: Identity) -> None:
    before = {name: str(value) for name, value in vars(claims).items()}
    for pool in ("scan/a", "scan/b"):
        claims.publish(shared, claim(pool), NOW, LASTS)
        claims.peers(shared, pool, NOW)

    claims.forget("scan/a")
    claims.peers(shared, "scan/c", NOW + LASTS)

    assert {name: str(value) for name, value in vars(claims).items()} == before


def test_a_pool_that_is_gone_is_forgotten(claims: Claims, shared: Identity) -> None:
    claims.publish(shared, claim("scan/a"), NOW, LASTS)

    claims.forget("scan/a")
    claims.forget("scan/never-seen")

    assert claims.peers(shared, "scan/b", NOW) == ()


def test_the_key_is_not_kept(claims: Claims, shared: Identity) -> None:
    claims.publish(shared, claim("scan/a"), NOW, LASTS)

    shown = f"{shared} {claims!r} {vars(claims)!r}"
    assert "scan/a" in shown
    assert KEY not in shown
    assert KEY.encode().hex() not in shown
