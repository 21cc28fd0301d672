"""What no person writes into the strings of a spec, and what must come of it."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import httpx

from faults.world import World
from sandbox.kube_client import KubeClient, Obj
from sandbox.patience import until
from sandbox.scene import MANAGEMENT_URL, SECRET, llm, management

LONG = "x" * 100_000
CONTROL = "a\x00\x07\x1b[31m\r\n\x7f\x85\u202e\u2028b"
TEMPLATE = "{{ .Values.x }} ${jndi:ldap://x} %s%(y)s%n $(id) `id` {0.__class__} '\"; --"
WORDS = {"long": LONG, "control": CONTROL, "template": TEMPLATE}
UNPRINTED = set("\x00\x07\x1b\r\x7f\x85\u2028")
"""Of CONTROL, what would reach a terminal, or break a line of a log."""

MOST_OF_A_STATUS = 32 * 1024
"""Bytes. The longest strings that the CRD lets in are some thousand characters."""
MOST_OF_AN_EVENT = 1024
"""Characters: the API server lets in no more."""
TICKS = 3
POLLING_SECONDS = 5
PRICES = {"input": 1.25, "output": 10.0}

Path = tuple[str | int, ...]


def reference(name: str = SECRET, key: str = MANAGEMENT_URL) -> Obj:
    return {"name": name, "key": key}


def prometheus(**more: Any) -> Obj:
    return {
        "prometheus": {
            "url": "http://127.0.0.1:9",
            "bearerTokenSecretRef": reference(),
            "caSecretRef": reference(),
            "httpHeaders": [{"name": "X-Scope", "value": "scan"}],
            "parameters": [{"name": "tenant", "value": "scan"}],
            **more,
        }
    }


def specs(queue: str) -> tuple[Obj, ...]:
    """Return specs that name every string between them."""
    base: Obj = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "worker"},
        "mode": "Observe",
        "maxReplicas": 3,
        "pollingIntervalSeconds": POLLING_SECONDS,
    }
    broker = {**management(queue), "vhost": "eco2", "urlSecretRef": reference()}
    certificate = {"certSecretRef": reference(), "keySecretRef": reference()}
    safe = {**broker, "caSecretRef": reference(), "clientCertificate": certificate}
    asked = {"query": "vector(0)", "rateLimitedQuery": "vector(0)"}
    preset = {"preset": "otel-genai", "ownLabels": [{"name": "app", "value": "scan"}]}
    several = {
        **broker,
        "queues": [{**broker["queues"][0], "tokens": [{"llm": "a", "perMessage": 1}]}],
    }
    del several["queues"][0]["tokensPerMessage"]
    nowhere = "http://127.0.0.1:9/v1"
    hours = {"name": "day", "start": "0 8 * * *", "end": "0 18 * * *", "timeZone": "Asia/Seoul"}
    return (
        {**base, "rabbitmq": safe, "schedules": [{**hours, "minReplicas": 1}]},
        {**base, "rabbitmq": {**broker, "serverName": "broker", "tokenSecretRef": reference()}},
        {
            **base,
            "rabbitmq": broker,
            "llm": llm(nowhere, sharedWith=["other"], usage=prometheus(**asked), prices=PRICES),
            "spend": {"perDay": 100, "timeZone": "Asia/Seoul"},
        },
        {**base, "rabbitmq": broker, "llm": llm(nowhere, usage=prometheus(**preset))},
        {
            **base,
            "rabbitmq": several,
            "llms": [
                {"name": name, **llm(nowhere, sharedWith=["other"], usage=prometheus(**asked))}
                for name in ("a", "b")
            ],
        },
    )  # fmt: skip


def strings(value: object, at: Path = ()) -> Iterator[Path]:
    """Yield where the strings of a value are."""
    match value:
        case str():
            yield at
        case dict():
            for key, one in value.items():
                yield from strings(one, (*at, key))
        case list():
            for index, one in enumerate(value):
                yield from strings(one, (*at, index))


def put(spec: Obj, at: Path, word: str) -> Obj:
    """Return a spec with a word in the place of a string."""
    changed = deepcopy(spec)
    inner: Any = changed
    for step in at[:-1]:
        inner = inner[step]
    inner[at[-1]] = word
    return changed


def are_put_into_specs(w: World, name: str) -> None:
    """Create a pool for each word in each string; those that the API takes have to be harmless."""
    scene = w.scene
    scene.create_deployment("worker")
    taken = []
    for number, spec in enumerate(specs(name)):
        right = scene.pool_object(f"right-{number}", name)
        # Without the words it is one that the API takes.
        assert creates(scene.kube, f"{scene.pools}?dryRun=All", {**right, "spec": spec})
        for place, at in enumerate(strings(spec)):
            for kind, word in WORDS.items():
                pool = scene.pool_object(f"{kind}-{number}-{place}", name)
                pool["spec"] = put(spec, at, word)
                if creates(scene.kube, scene.pools, pool):
                    taken.append((pool["metadata"]["name"], at))
    assert {at[-1] for _, at in taken} >= {"name", "model", "query", "value", "vhost"}
    for pool_name, _ in taken:
        scene.wait_condition(pool_name, "Ready", "False")
    scene.stage.operator.wait_ticks(TICKS * len(taken))
    are_told_harmlessly(w, [pool_name for pool_name, _ in taken])


def creates(kube: KubeClient, path: str, body: Obj) -> bool:
    """Create an object, if the API does not refuse it as invalid."""
    try:
        kube.post(path, body)
    except httpx.HTTPStatusError as error:
        if error.response.status_code != httpx.codes.UNPROCESSABLE_ENTITY:
            raise
        return False
    return True


def are_told_harmlessly(w: World, pools: list[str]) -> None:
    scene = w.scene
    for name in pools:
        status = json.dumps(scene.status(name))
        assert len(status) < MOST_OF_A_STATUS, name
        assert not UNPRINTED & set("".join(words_in(scene.status(name)))), name
    for event in scene.events():
        assert len(event["message"]) <= MOST_OF_AN_EVENT
        assert not UNPRINTED & set(event["message"]), event["message"]
    for shown in (scene.stage.operator.log, scene.stage.operator.metrics()):
        assert not UNPRINTED & set(shown)
        assert LONG not in shown


def words_in(value: object) -> Iterator[str]:
    """Yield the strings of a value."""
    for at in strings(value):
        inner: Any = value
        for step in at:
            inner = inner[step]
        yield inner


def are_taken_out_again(w: World, name: str) -> None:
    for pool in w.scene.kube.get(w.scene.pools)["items"]:
        if pool["metadata"]["name"] != name:
            w.scene.kube.delete(f"{w.scene.pools}/{pool['metadata']['name']}")
    until(
        "they are forgotten",
        lambda: 'name="long-' not in w.scene.stage.operator.metrics(),
    )
