"""ScaledObjects field by field: what becomes of each, what is said of it, and what never is."""

from typing import Any

import pytest

from keda_shapes import (
    AMQP_URL,
    HTTP_URL,
    SHAPES,
    Json,
    authentication,
    config_map,
    deployment,
    depth,
    from_secret,
    scaled_object,
    secret,
    trigger,
    turned,
)
from scanpool.convert import Converted, convert, read, render
from scanpool.convert.notes import Effect
from scanpool.models.pause import Pause

HTTP = {"protocol": "http"}
PLAIN = depth("orders", "10", **HTTP)


def spec(result: Converted) -> dict[str, Any]:
    assert result.pool is not None, result.refusal
    return dict(result.pool["spec"])


def lines(result: Converted, effect: Effect) -> list[str]:
    return [note.text for note in result.notes if note.effect is effect]


def advanced(**behavior: Any) -> Json:
    return {"advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior}}}


@pytest.mark.parametrize(
    ("objects", "field", "expected"),
    [
        pytest.param(scaled_object(PLAIN), "minReplicas", 0, id="KEDA's default minimum"),
        pytest.param(scaled_object(PLAIN), "maxReplicas", 100, id="KEDA's default maximum"),
        pytest.param(scaled_object(PLAIN), "pollingIntervalSeconds", 15, id="the HPA's pace"),
        pytest.param(
            scaled_object(PLAIN, pollingInterval=5), "pollingIntervalSeconds", 5, id="a quicker one"
        ),
        pytest.param(
            scaled_object({**PLAIN, "useCachedMetrics": True}, pollingInterval=60),
            "pollingIntervalSeconds", 60, id="cached metrics are as old as the polling interval",
        ),
        pytest.param(scaled_object(PLAIN), "memory", {"enabled": False}, id="no memory ceiling"),
        pytest.param(scaled_object(PLAIN), "mode", "Enforce", id="it scales"),
        pytest.param(scaled_object(PLAIN), "cooldownSeconds", 300, id="KEDA's default cooldown"),
        pytest.param(
            scaled_object(PLAIN, cooldownPeriod=0), "cooldownSeconds", 0, id="no cooldown"
        ),
        pytest.param(
            scaled_object(PLAIN, minReplicaCount=1, **advanced(scaleDown={"tolerance": "50m"})),
            "behavior", {"scaleDown": {"tolerance": 0.05}}, id="a tolerance in thousandths",
        ),
        *(
            pytest.param(
                scaled_object(
                    PLAIN, fallback={"failureThreshold": 3, "replicas": 6, **behavior}
                ),
                "fallback", {"failureThreshold": 4, "replicas": 6, "behavior": same}, id=same,
            )
            for behavior, same in (
                ({}, "static"),
                *(({"behavior": one}, one) for one in (
                    "static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"
                )),
            )
        ),
    ],
)  # fmt: skip
def test_a_field_becomes(objects: Json, field: str, expected: object) -> None:
    result = turned(objects)
    assert spec(result).get(field) == expected
    assert lines(result, Effect.CHANGED) == []


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param(
            (scaled_object(PLAIN),),
            {"managementUrlSecretRef": {"name": "broker-login", "key": "host"}},
            id="http, Secret not given",
        ),
        pytest.param(
            (scaled_object(depth("orders", "10", protocol="amqp")),),
            {"urlSecretRef": {"name": "broker-login", "key": "host"}},
            id="amqp",
        ),
        pytest.param(
            (scaled_object(depth("orders", "10")), secret(host=HTTP_URL)),
            {"managementUrlSecretRef": {"name": "broker-login", "key": "host"}},
            id="auto, by the URL in the Secret",
        ),
        pytest.param(
            (scaled_object(depth("orders", "10", vhostName="a/b")), secret(host=AMQP_URL)),
            {"urlSecretRef": {"name": "broker-login", "key": "host"}, "vhost": "a/b"},
            id="a vhost of its own",
        ),
        pytest.param(
            (
                scaled_object(depth("orders", "10", **HTTP)),
                authentication("host", "ca", "tls"),
                secret(host=HTTP_URL),
            ),
            {
                "managementUrlSecretRef": {"name": "broker-login", "key": "host"},
                "caSecretRef": {"name": "broker-login", "key": "ca"},
            },
            id="a CA",
        ),
        pytest.param(
            (
                scaled_object(
                    trigger("orders", None, hostFromEnv="M_URL", mode="QueueLength", value="10",
                            **HTTP)
                ),
                deployment({
                    "name": "packer",
                    "envFrom": [{"prefix": "M_", "secretRef": {"name": "broker-login"}}],
                }),
                secret(URL=HTTP_URL),
            ),
            {"managementUrlSecretRef": {"name": "broker-login", "key": "URL"}},
            id="a whole Secret in the environment",
        ),
        pytest.param(
            (
                scaled_object(depth("orders", "10", **HTTP)),
                authentication(env=[{"parameter": "host", "name": "URL"}]),
                deployment({"name": "packer", "env": [{"name": "URL", **from_secret("u")}]}),
            ),
            {"managementUrlSecretRef": {"name": "broker-login", "key": "u"}},
            id="the environment, by way of an authentication",
        ),
        pytest.param(
            (
                scaled_object(
                    depth("orders", "10", protocol="amqp"),
                    {**depth("paid", "5", **HTTP), "authenticationRef": {"name": "other"}},
                ),
                authentication("host"),
                {**authentication(secretTargetRef=[
                    {"parameter": "host", "name": "management", "key": "url"}
                ]), "metadata": {"name": "other", "namespace": "shop"}},
            ),
            {
                "managementUrlSecretRef": {"name": "management", "key": "url"},
                "urlSecretRef": {"name": "broker-login", "key": "host"},
            },
            id="both",
        ),
    ],
)  # fmt: skip
def test_a_broker_becomes(objects: tuple[Json, ...], expected: Json) -> None:
    found = dict(spec(turned(*objects))["rabbitmq"])
    del found["queues"]
    assert found == expected


@pytest.mark.parametrize(
    ("objects", "place", "words"),
    [
        pytest.param(
            (scaled_object(PLAIN, {"type": "cron", "metadata": {"start": "0 8 * * *"}}),),
            ("spec", "rabbitmq"), 'triggers[1] is of type "cron"', id="another kind of trigger",
        ),
        *(
            pytest.param(
                (scaled_object(PLAIN, trigger("orders", mode=mode, value="10", **HTTP)),),
                ("spec", "rabbitmq"), f"triggers[1] has mode {mode}", id=mode,
            )
            for mode in (
                "MessageRate", "DeliverGetRate", "PublishedToDeliveredRatio",
                "ExpectedQueueConsumptionTime",
            )
        ),
        pytest.param(
            (scaled_object(depth("orders", "12.5", **HTTP)),),
            ("spec", "rabbitmq", "queues", "orders"), "at 12 per replica", id="half a message",
        ),
        pytest.param(
            (scaled_object(depth("orders", "0.5", **HTTP)),),
            ("spec", "rabbitmq", "queues", "orders"), "asks for fewer", id="less than one message",
        ),
        pytest.param(
            (scaled_object({**PLAIN, "metricType": "Value"}),),
            ("spec", "rabbitmq", "queues"), "metricType Value", id="no average",
        ),
        pytest.param(
            (
                scaled_object(PLAIN, depth("paid", "10", vhostName="other", **HTTP)),
            ),
            ("spec", "rabbitmq"), "triggers[1] reads another broker", id="two vhosts",
        ),
        pytest.param(
            (scaled_object(PLAIN, depth("paid", "10", auth=None, host=HTTP_URL, **HTTP)),),
            ("spec", "rabbitmq"), "triggers[1] reads another broker", id="two brokers",
        ),
        pytest.param(
            (scaled_object(PLAIN), authentication("host", "vhostName")),
            ("spec", "rabbitmq", "vhost"), "vhost in Secret broker-login, key vhostName",
            id="a vhost that is a secret",
        ),
        pytest.param(
            (scaled_object(PLAIN, cooldownPeriod=100_000),),
            ("spec", "cooldownSeconds"), "cooldownPeriod is 100000", id="more than a day",
        ),
        pytest.param(
            (scaled_object(PLAIN, minReplicaCount=3, idleReplicaCount=0),),
            ("spec", "minReplicas"), "idleReplicaCount is 0", id="idle replicas",
        ),
        pytest.param(
            (
                scaled_object(
                    PLAIN, fallback={"failureThreshold": 3, "replicas": 6, "behavior": "median"}
                ),
            ),
            ("spec", "fallback"), '"median"', id="a fallback of the future",
        ),
        pytest.param(
            (scaled_object(PLAIN, advanced={"scalingModifiers": {"formula": "a", "target": "1"}}),),
            ("spec", "rabbitmq", "queues"), "scalingModifiers", id="a formula",
        ),
        pytest.param(
            (scaled_object(PLAIN, newField=1),),
            ("spec", "scaleTargetRef"), '"newField"', id="a field of the future",
        ),
    ],
)  # fmt: skip
def test_what_would_change_in_silence_is_said(
    objects: tuple[Json, ...], place: tuple[str, ...], words: str
) -> None:
    result = turned(*objects)
    (note,) = [one for one in result.notes if one.effect is Effect.CHANGED]
    assert note.path == place
    assert words in note.text
    assert result.pool is not None
    assert words.split(maxsplit=1)[0] in render(result.pool, result.notes)


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        pytest.param(
            (scaled_object(depth("orders", "10", None, host=HTTP_URL)),),
            "make Secret orders-rabbitmq, key managementUrl, in namespace shop: the URL of "
            "triggers[0].metadata.host",
            id="the URL in the trigger",
        ),
        pytest.param(
            (scaled_object(depth("orders", "10", None, hostFromEnv="URL", **HTTP)),),
            "environment variable URL of Deployment packer (add it with -f",
            id="an environment that was not given",
        ),
        pytest.param(
            (scaled_object(PLAIN), authentication("host", "username", "password")),
            "password and username",
            id="user and password apart",
        ),
        pytest.param(
            (
                scaled_object(PLAIN),
                authentication(
                    configMapTargetRef=[{"parameter": "host", "name": "broker-address", "key": "u"}]
                ),
                config_map(u=HTTP_URL),
            ),
            "ConfigMap broker-address, key u",
            id="a ConfigMap",
        ),
        pytest.param(
            (
                scaled_object(PLAIN),
                authentication(
                    hashiCorpVault={"secrets": [{"parameter": "host", "path": "p", "key": "k"}]}
                ),
            ),
            "hashiCorpVault of TriggerAuthentication broker",
            id="a vault",
        ),
        pytest.param(
            (
                scaled_object(PLAIN),
                authentication("host", podIdentity={"provider": "azure-workload"}),
            ),
            "gets a token",
            id="a token instead of a password",
        ),
        pytest.param(
            (
                scaled_object(trigger("orders", cluster=True, mode="QueueLength", value="10",
                                      protocol="http")),
                authentication("host", cluster=True),
            ),
            "copy key host of Secret broker-login from KEDA's own namespace",
            id="a Secret of KEDA's namespace",
        ),
        pytest.param(
            (
                scaled_object(PLAIN),
                authentication(
                    "host", "cert",
                    configMapTargetRef=[{"parameter": "key", "name": "open", "key": "key"}],
                ),
            ),
            "shows the broker a client certificate: put the key of ConfigMap open",
            id="a client certificate",
        ),
        pytest.param(
            (scaled_object(depth("orders", "10", unsafeSsl="true", **HTTP)),),
            "always verifies", id="unverified certificates",
        ),
        pytest.param(
            (scaled_object(depth("orders", "10", vhostName="eco2", **HTTP)),
             secret(host=HTTP_URL)),
            "ends in another vhost", id="a URL with another vhost",
        ),
    ],
)  # fmt: skip
def test_what_a_person_has_to_do_is_asked_for(objects: tuple[Json, ...], words: str) -> None:
    result = turned(*objects)
    (asked,) = lines(result, Effect.TO_DO)
    assert words in asked
    assert lines(result, Effect.CHANGED) == []


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        pytest.param(
            scaled_object(PLAIN, scaleTargetRef={"name": "db", "kind": "a kind"}),
            "the pool would not be valid", id="no kind",
        ),
        pytest.param(
            scaled_object({"type": "cpu", "metadata": {"value": "50"}}), '"cpu"', id="no queue"
        ),
        pytest.param(
            scaled_object(trigger("orders", mode="MessageRate", value="1", **HTTP)),
            "none of its triggers", id="rates only",
        ),
        pytest.param(
            scaled_object(depth("orders", "10")), "add that with -f", id="auto, without the URL"
        ),
        pytest.param(
            scaled_object(trigger("orders", "nobody", mode="QueueLength", value="1", **HTTP)),
            '"nobody", which is in none of the files', id="an authentication that is missing",
        ),
        pytest.param(
            scaled_object(depth("orders", "10", None, **HTTP)), "has no host", id="no host"
        ),
        pytest.param(
            scaled_object(trigger("orders", mode="QueueLength", **HTTP)), "value is missing",
            id="no value",
        ),
        pytest.param(
            scaled_object(trigger("orders", queueLength="5", mode="QueueLength", **HTTP)),
            "beside mode", id="old and new",
        ),
        pytest.param(
            scaled_object(depth("orders", "many", **HTTP)), "above 0", id="no number"
        ),
        pytest.param(
            scaled_object(depth("orders", "nan", **HTTP)), "above 0", id="not a number"
        ),
        pytest.param(
            scaled_object(trigger("orders", mode="Depth", value="1", **HTTP)),
            '"Depth", which KEDA does not know', id="an unknown mode",
        ),
        pytest.param(
            scaled_object(depth("orders", "10", useRegex="yes", **HTTP)), "true or false",
            id="no switch",
        ),
        pytest.param(
            scaled_object(depth("o.*", "10", useRegex="true", operation="min", **HTTP)),
            "sum, avg or max", id="an operation that KEDA does not have",
        ),
        pytest.param(
            scaled_object(depth("o.*", "10", useRegex="true", protocol="amqp")),
            "useRegex takes the management API", id="a pattern by AMQP, which KEDA refuses, too",
        ),
        pytest.param(
            scaled_object(depth("orders", "10", activationValue="some", **HTTP)),
            "activationValue", id="an activation value in words",
        ),
        pytest.param(
            scaled_object(depth("orders", "10", protocol="stomp")), "neither http", id="stomp"
        ),
        pytest.param(
            scaled_object({**PLAIN, "metricType": "Utilization"}), "metricType Utilization",
            id="a share of nothing",
        ),
        pytest.param(
            scaled_object(PLAIN, minReplicaCount=5, maxReplicaCount=2),
            "minReplicas must not be larger", id="more at least than at most",
        ),
        pytest.param(
            scaled_object(PLAIN, **advanced(scaleUp={"tolerance": "a tenth"})),
            "scaleUp.tolerance", id="a tolerance in words",
        ),
    ],
)  # fmt: skip
def test_what_has_no_pool_says_why(objects: Json, words: str) -> None:
    result = turned(objects)
    assert result.pool is None
    assert words in result.refusal
    assert result.refusal.isprintable()


@pytest.mark.parametrize(
    ("triggers", "expected"),
    [
        pytest.param(
            [depth("orders", "10", excludeUnacknowledged="true", **HTTP)],
            [{"name": "orders", "messagesPerReplica": 10, "excludeUnacknowledged": True}],
            id="ready messages only",
        ),
        *(
            pytest.param(
                [depth("order.*new", "10", useRegex="true", **metadata, **HTTP)],
                [
                    {"name": "order.*new", "useRegex": True, "operation": operation,
                     "messagesPerReplica": 10}
                ],
                id=f"a pattern, {operation}",
            )
            for metadata, operation in (
                ({}, "Sum"), ({"operation": "sum"}, "Sum"), ({"operation": "max"}, "Max"),
                ({"operation": "avg"}, "Avg"),
            )
        ),
        *(
            pytest.param(
                [depth("orders", "10", activationValue=value, **HTTP)],
                [{"name": "orders", "messagesPerReplica": 10, **activation}],
                id=f"active above {value}",
            )
            # More messages than 5.5 are more than 5: they are whole.
            for value, activation in (
                ("5", {"activationMessages": 5}), ("5.5", {"activationMessages": 5}), ("0.9", {}),
                ("-1", {}),
            )
        ),
        pytest.param(
            [
                depth("a", "10", activationValue="5", excludeUnacknowledged="true", **HTTP),
                depth("a", "4", activationValue="9", **HTTP),
                depth("b", "7", excludeUnacknowledged="true", activationValue="3", **HTTP),
            ],
            [
                {"name": "a", "messagesPerReplica": 4, "activationMessages": 5},
                {"name": "b", "messagesPerReplica": 7, "activationMessages": 3,
                 "excludeUnacknowledged": True},
            ],
            id="of two triggers for a queue the larger demand",
        ),
        pytest.param(
            [depth("a.*", "4", useRegex="true", operation=operation, **HTTP)
             for operation in ("avg", "max")],
            [{"name": "a.*", "useRegex": True, "operation": "Max", "messagesPerReplica": 4}],
            id="of two operations the one that asks for more",
        ),
    ],
)  # fmt: skip
def test_queues_count_as_the_triggers_do(triggers: list[Json], expected: list[Json]) -> None:
    result = turned(scaled_object(*triggers))

    assert spec(result)["rabbitmq"]["queues"] == expected
    assert lines(result, Effect.CHANGED) == []


def test_beside_the_management_api_a_trigger_by_amqp_still_counts_ready_messages_only() -> None:
    result = turned(
        scaled_object(
            depth("a", "10", **HTTP),
            depth("b", "10", auth="by-amqp", protocol="amqp"),
        ),
        authentication("host"),
        {**authentication("host"), "metadata": {"name": "by-amqp", "namespace": "shop"}},
    )

    assert [one.get("excludeUnacknowledged") for one in spec(result)["rabbitmq"]["queues"]] == [
        None, True,
    ]  # fmt: skip
    assert lines(result, Effect.CHANGED) == []


def test_a_client_certificate_stays_one() -> None:
    parameters = ("host", "cert", "key", "keyPassword")
    result = turned(scaled_object(PLAIN), authentication(*parameters))

    assert spec(result)["rabbitmq"]["clientCertificate"] == {
        field: {"name": "broker-login", "key": name}
        for field, name in (
            ("certSecretRef", "cert"), ("keySecretRef", "key"),
            ("keyPasswordSecretRef", "keyPassword"),
        )
    }  # fmt: skip
    assert lines(result, Effect.TO_DO) == []


KEDAS, OWN = "autoscaling.keda.sh/", "scan.eco2.io/"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"paused": "false"}, None),
        ({"paused": "true"}, {"paused": "true"}),
        # What is no boolean pauses.
        ({"paused": "yes, please"}, {"paused": "true"}),
        ({"paused-replicas": "0"}, {"paused-replicas": "0"}),
        ({"paused": "true", "paused-replicas": "3"}, {"paused": "true", "paused-replicas": "3"}),
        ({"paused-scale-in": "true"}, {"paused-scale-in": "true"}),
        ({"paused-scale-down": "true"}, {"paused-scale-in": "true"}),
        (
            {"paused-scale-out": "true", "paused-scale-in": "1"},
            {"paused-scale-out": "true", "paused-scale-in": "true"},
        ),
    ],
)
def test_a_pause_stays_one(given: dict[str, str], expected: dict[str, str] | None) -> None:
    annotations = {KEDAS + name: value for name, value in given.items()}
    result = turned(scaled_object(PLAIN, annotations=annotations))

    assert result.pool is not None
    found = result.pool["metadata"].get("annotations")
    assert found == (expected and {OWN + name: value for name, value in expected.items()})
    assert spec(result)["mode"] == "Enforce"
    assert "behavior" not in spec(result)
    # The operator takes them for what KEDA takes its own for.
    if expected:
        assert Pause.from_annotations(found).trouble == ""
    assert lines(result, Effect.CHANGED) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, 300),
        ({"cooldownPeriod": 60}, 60),
        ({"minReplicaCount": 1, "cooldownPeriod": 60}, None),
    ],
)
def test_the_last_replicas_go_after_the_cooldown(fields: Json, expected: int | None) -> None:
    result = turned(
        scaled_object(
            PLAIN,
            **fields,
            **advanced(scaleDown={"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}),
        )
    )

    assert spec(result).get("cooldownSeconds") == expected
    assert lines(result, Effect.CHANGED) == []


def test_a_list_of_names_takes_the_place_of_a_regular_expression() -> None:
    expression = depth("order.*new", "10", useRegex="true", operation="max", **HTTP)
    names = ["ORDERS.new", "orders.old", "x.order-new.y"]

    result = turned(scaled_object(expression), queue_names=names)

    queues = spec(result)["rabbitmq"]["queues"]
    assert [one["name"] for one in queues] == ["ORDERS.new", "x.order-new.y"]
    (changed,) = lines(result, Effect.CHANGED)
    assert "later ones too" in changed


def test_names_in_the_place_of_a_sum_ask_for_less() -> None:
    expression = depth("o.*", "10", useRegex="true", **HTTP)
    result = turned(scaled_object(expression), queue_names=["ORDERS", "x.o"])

    _, changed = lines(result, Effect.CHANGED)
    assert "operation sum over 2 queues" in changed


def test_labels_stay_but_those_of_keda() -> None:
    body = scaled_object(PLAIN)
    body["metadata"]["labels"] = {"app": "packer", "scaledobject.keda.sh/name": "orders"}
    result = turned(body)
    assert result.pool is not None
    assert result.pool["metadata"]["labels"] == {"app": "packer"}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_no_value_of_a_secret_is_told(shape: Any) -> None:
    given = read([("file", shape.text)])
    (scaled,) = given.scaled_objects
    result = convert(scaled, given)
    assert result.pool is not None
    for told in (render(result.pool, result.notes), repr(given), result.refusal):
        assert "hidden" not in told
