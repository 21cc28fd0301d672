"""A pool of two keys: their limits add up, and one without money takes its part, not the pool."""

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from sandbox.key_gateway import KeyGateway
from sandbox.kube_client import Obj
from sandbox.patience import until
from sandbox.scene import MODEL, Scene, llm
from scanpool_sandbox.openai_provider import OpenAISettings
from scanpool_sandbox.openai_server import OpenAIServer

NAME, QUEUE = "scan-worker", "scan.vision"
FIRST, SECOND = "openai-first", "openai-second"
KEYS = {FIRST: "sk-first/0123456789+abcdef==", SECOND: "sk-second/9876543210+fedcba=="}
KEY = "OPENAI_API_KEY"
LIMITS = {FIRST: 1_200_000, SECOND: 1_800_000}
"""85% of both feed five replicas of half a million, of the first two, of the second three."""


class Accounts(NamedTuple):
    base_url: str
    servers: dict[str, OpenAIServer]

    def pay(self, name: str, tokens: int | None) -> None:
        self.servers[name].provider.quota.set_remaining(tokens)


@pytest.fixture
def accounts(background) -> Iterator[Accounts]:
    servers = {
        name: OpenAIServer(
            OpenAISettings(api_keys=(KEYS[name],), models=(MODEL,), tokens_per_minute=LIMITS[name])
        )
        for name in KEYS
    }
    with background.running(servers[FIRST]), background.running(servers[SECOND]):
        gateway = KeyGateway({KEYS[name]: one.base_url for name, one in servers.items()})
        with background.running(gateway):
            yield Accounts(gateway.base_url, servers)


def with_keys(base_url: str, *names: str) -> Obj:
    refs = [{"name": name, "key": KEY} for name in names]
    wanted = llm(base_url, apiKeySecretRefs=refs, onQuotaExhausted="ScaleToZero")
    return {name: value for name, value in wanted.items() if name != "apiKeySecretRef"}


def wait_parts(scene: Scene, replicas: int, **parts: int) -> Obj:
    """Wait until the pool has the replicas that what the keys add feeds."""
    expected = {f"openai-{name}/{KEY}": part for name, part in parts.items()}
    scene.wait_status(NAME, replicas=replicas, readyReplicas=replicas)
    until(
        f"the keys add {expected}",
        lambda: (
            {
                one["name"]: one.get("partTokensPerMinute")
                for one in scene.status(NAME)["llm"].get("byKey", [])
            }
            == expected
        ),
        lambda: scene.status(NAME),
    )
    return scene.status(NAME)


@pytest.mark.long
def test_a_key_without_money_takes_its_part_until_it_is_paid_again(
    scene: Scene, accounts: Accounts
) -> None:
    for name, key in KEYS.items():
        scene.create_secret(name, **{KEY: key})
    scene.queues.publish(QUEUE, 100)
    scene.create_deployment(NAME)
    scene.create_pool(NAME, QUEUE, llm=with_keys(accounts.base_url, FIRST, SECOND))

    status = wait_parts(scene, 5, first=LIMITS[FIRST], second=LIMITS[SECOND])
    assert status["limitedBy"] == "Tokens"
    assert status["llm"]["limitTokensPerMinute"] == sum(LIMITS.values())
    scene.wait_condition(NAME, "QuotaExhausted", "False", "QuotaAvailable")

    accounts.pay(SECOND, 0)
    status = wait_parts(scene, 2, first=LIMITS[FIRST], second=0)
    assert status["limitedBy"] == "Tokens"
    told = scene.wait_condition(NAME, "QuotaExhausted", "False", "KeyQuotaExhausted")
    assert f"{SECOND}/{KEY} (insufficient_quota)" in told["message"]
    assert f"{FIRST}/{KEY}" not in told["message"]
    assert scene.condition(NAME, "Ready")["status"] == "True"
    assert "KeyQuotaExhausted" in {event["reason"] for event in scene.events()}
    name = f'name="{SECOND}/{KEY}",namespace="{scene.namespace}",pool="{NAME}"'
    assert f"scanpool_pool_tpm_key_part{{{name}}} 0.0" in scene.stage.operator.metrics()

    accounts.pay(SECOND, None)
    wait_parts(scene, 5, first=LIMITS[FIRST], second=LIMITS[SECOND])
    scene.wait_condition(NAME, "QuotaExhausted", "False", "QuotaAvailable")

    # Without both nothing is paid, and the first that is paid again brings the pool back.
    accounts.pay(FIRST, 0)
    accounts.pay(SECOND, 0)
    scene.wait_status(NAME, replicas=0, readyReplicas=0, limitedBy="Quota")
    scene.wait_condition(NAME, "QuotaExhausted", "True", "QuotaExhausted")
    accounts.pay(FIRST, None)
    wait_parts(scene, 2, first=LIMITS[FIRST], second=0)

    shown = json.dumps([scene.pool(NAME), scene.events()]) + scene.stage.operator.metrics()
    assert not [key for key in KEYS.values() if key in shown]


def test_a_key_that_cannot_be_read_holds_the_pool_and_the_message_names_it(
    scene: Scene, accounts: Accounts
) -> None:
    scene.create_secret(FIRST, **{KEY: KEYS[FIRST]})
    scene.queues.publish(QUEUE, 100)
    scene.create_deployment(NAME, replicas=1)
    scene.create_pool(NAME, QUEUE, llm=with_keys(accounts.base_url, FIRST, SECOND))

    told = scene.wait_condition(NAME, "Ready", "False", "SecretNotFound")
    assert f"with the key {SECOND}/{KEY}: " in told["message"]
    assert scene.status(NAME)["limitedBy"] == "Hold"

    # The same key again is one limit, not two.
    scene.create_secret(SECOND, **{KEY: KEYS[FIRST] + "\n"})
    scene.wait_condition(NAME, "Ready", "True", "Reconciled")
    wait_parts(scene, 2, first=LIMITS[FIRST])
