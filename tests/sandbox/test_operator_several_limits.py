"""A pool of two limits: each binds in its turn, and an empty account stops its own queue."""

from collections.abc import Iterator

import pytest

from sandbox.kube_client import Obj
from sandbox.patience import until
from sandbox.scene import KEY, MANAGEMENT_URL, SECRET, Scene, llm
from scanpool_sandbox.openai_provider import OpenAISettings, Provider
from scanpool_sandbox.openai_server import OpenAIServer

NAME = "scan-worker"
SCAN, CHAT = "scan.vision", "chat.process"
GPT, MINI = "gpt", "mini"
MODELS = {GPT: "gpt-5.2", MINI: "gpt-5.2-mini"}
COST = 500_000
"""Of a replica, by the spec: 85% of a limit feeds two of 1.2 M TPM, and four of 2.4 M."""


def settings(name: str) -> OpenAISettings:
    return OpenAISettings(api_keys=(KEY,), models=(MODELS[name],), tokens_per_minute=2_400_000)


@pytest.fixture
def providers(background) -> Iterator[dict[str, OpenAIServer]]:
    servers = {name: OpenAIServer(settings(name)) for name in MODELS}
    with background.running(servers[GPT]), background.running(servers[MINI]):
        yield servers


def broker() -> Obj:
    return {
        "managementUrlSecretRef": {"name": SECRET, "key": MANAGEMENT_URL},
        "queues": [
            {"name": SCAN, "tokens": [{"llm": GPT, "perMessage": 3000}]},
            {"name": CHAT, "tokens": [{"llm": MINI, "perMessage": 2000}]},
        ],
    }


def limits(providers: dict[str, OpenAIServer], **declared: int) -> list[Obj]:
    """Both limits; `declared` ones have a limit in the spec, too."""
    return [
        {
            "name": name,
            **llm(server.base_url, model=MODELS[name], onQuotaExhausted="ScaleToZero"),
            **({"tokensPerMinute": declared[name]} if name in declared else {}),
        }
        for name, server in providers.items()
    ]


def wait_binding(scene: Scene, name: str, replicas: int) -> Obj:
    """Wait until a pool has the replicas that one limit allows, and says so."""
    scene.wait_status(
        NAME, bindingLlm=name, replicas=replicas, readyReplicas=replicas, limitedBy="Tokens"
    )
    message = str(scene.condition(NAME, "ScalingLimited")["message"])
    assert message.startswith(f"{name}: ")
    return scene.status(NAME)


def test_each_limit_binds_in_its_turn_and_an_empty_account_stops_its_own_queue(
    scene: Scene, providers: dict[str, OpenAIServer]
) -> None:
    scene.queues.publish(SCAN, 80)
    scene.queues.publish(CHAT, 80)
    scene.create_deployment(NAME)
    scene.create_pool(
        NAME, SCAN, minReplicas=0, rabbitmq=broker(), llms=limits(providers, gpt=1_200_000)
    )

    status = wait_binding(scene, GPT, 2)
    ceilings = {one["name"]: one["ceilings"]["tokens"] for one in status["llms"]}
    assert ceilings == {GPT: 2, MINI: 4}
    assert status["llm"]["limitTokensPerMinute"] == 1_200_000

    scene.change_pool(NAME, llms=limits(providers, mini=1_800_000))
    wait_binding(scene, MINI, 3)
    scene.change_pool(NAME, llms=limits(providers, gpt=1_200_000))
    wait_binding(scene, GPT, 2)

    # Nobody pays for the first any more: its messages do not keep workers, those of the other do.
    account: Provider = providers[GPT].provider
    account.quota.set_remaining(0)
    scene.wait_condition(NAME, "QuotaExhausted", "True", "QuotaExhausted")
    message = str(scene.condition(NAME, "QuotaExhausted")["message"])
    assert message.startswith(f"{GPT}: ")
    assert message.endswith(f"messages fail in the workers that run, while {CHAT} goes on")
    assert f"needed by {SCAN}, " in message
    wait_binding(scene, MINI, 4)

    scene.queues.purge(CHAT)
    scene.wait_status(NAME, replicas=0, readyReplicas=0, limitedBy="Quota")
    assert scene.queues.ready(SCAN) == 80
    until(
        "the metrics tell which account is empty",
        lambda: (
            f'scanpool_pool_llm_refused_unpaid{{llm="{GPT}",namespace="{scene.namespace}"'
            f',pool="{NAME}"}} 1.0' in scene.stage.operator.metrics()
        ),
        scene.stage.operator.metrics,
    )
