"""What a spec may say, and that the API server and the operator refuse the same."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import cel
import pytest
from hypothesis import find, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from builders import pool
from scanpool.crd import structural_schema
from scanpool.models.base import Model, Rule
from scanpool.models.fallback import Fallback
from scanpool.models.fields import SecretKeyRef
from scanpool.models.http_access import Header
from scanpool.models.llm import (
    Llm,
    NamedLlm,
    OnQuotaExhausted,
    Probe,
    Prometheus,
    Provider,
    Ramp,
    Usage,
)
from scanpool.models.schedule import Schedule
from scanpool.models.spec import (
    Behavior,
    MemoryTarget,
    Mode,
    PoolSpec,
    Queue,
    RabbitMQ,
    ScaleTargetRef,
    ScalingRules,
    SelectPolicy,
)
from scanpool_sandbox.kube.schema.defaulting import apply_defaults
from scanpool_sandbox.kube.schema.validation import validate

REF = {"name": "scan-secret", "key": "KEY"}
QUEUES = [{"name": "scan.vision"}]
BROKER = {"managementUrlSecretRef": REF, "queues": QUEUES}
LLM = {"model": "gpt-5.2", "tokensPerMinute": 2_000_000}
PRICES = {"input": 1.75, "output": 14, "cachedInput": 0.175, "cachedInputPercent": 30}
GPT, GEMINI = {**LLM, "name": "gpt"}, {**LLM, "name": "gemini"}
ADMIN = {"apiKeySecretRef": REF, "projectId": "proj_abc"}
AZURE = {"provider": "azure-openai", "baseUrl": "https://scan.openai.azure.com/openai/v1"}
PROMETHEUS = {"url": "http://prometheus:9090", "preset": "otel-genai"}
LABEL = {"name": "job", "value": "scan-worker"}
TENANT = {"name": "X-Scope-OrgID", "value": "scan"}
BASIC_AUTH = {"usernameSecretRef": REF, "passwordSecretRef": REF}
ACCESS = {
    "basicAuth": BASIC_AUTH,
    "httpHeaders": [TENANT, {"name": "X-Key", "valueSecretRef": REF}],
    "parameters": [{"name": "extra_label", "value": "a=b"}, {"name": "extra_label", "value": ""}],
    "caSecretRef": REF,
}
POLICY = {"type": "Pods", "value": 4, "periodSeconds": 15}
SMALLEST: dict[str, Any] = {
    "scaleTargetRef": {"name": "scan-worker"},
    "maxReplicas": 10,
    "rabbitmq": BROKER,
}
FULL: dict[str, Any] = {
    **SMALLEST,
    "llm": {
        **LLM,
        "prices": PRICES,
        "usage": {"prometheus": {**PROMETHEUS, **ACCESS}},
        "admin": ADMIN,
    },
    "spend": {"perDay": 40},
    "fallback": {"replicas": 2},
    "behavior": {"scaleUp": {"policies": [POLICY]}},
}


def with_queue(**prices: Any) -> dict[str, Any]:
    return {**BROKER, "queues": [{"name": "scan.vision", **prices}]}


def with_field(path: str, value: object) -> dict[str, Any]:
    """Return a full spec with one field set; None leaves it out."""
    changed = deepcopy(FULL)
    *parents, last = path.split(".")
    place: Any = changed
    for parent in parents:
        place = place[int(parent)] if parent.isdigit() else place.setdefault(parent, {})
    if value is None:
        place.pop(last, None)
    else:
        place[int(last) if last.isdigit() else last] = value
    return changed


def messages(error: ValidationError) -> list[str]:
    return [str(one["ctx"]["error"]) for one in error.errors() if one["type"] == "value_error"]


# --- Rules over several fields ---


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"minReplicas": 11},
            "minReplicas must not be larger than maxReplicas",
            id="min-above-max",
        ),
        pytest.param(
            {"rabbitmq": {"queues": QUEUES}},
            "name the broker: set managementUrlSecretRef (ready and unacked messages), "
            "urlSecretRef (ready messages only), or both",
            id="no-broker",
        ),
        pytest.param(
            {"rabbitmq": {**BROKER, "queues": [*QUEUES, {"name": "scan.rule"}, *QUEUES]}},
            "queue names must be unique",
            id="a-queue-twice",
        ),
        pytest.param(
            {
                "rabbitmq": {
                    "urlSecretRef": REF,
                    "queues": [*QUEUES, {"name": "^q", "useRegex": True}],
                }
            },
            "useRegex takes the management API, since AMQP lists no queues: set "
            "managementUrlSecretRef",
            id="a-pattern-by-amqp",
        ),
        pytest.param(
            {"llm": LLM, "llms": [GPT]},
            "set llm for one limit or llms for several, not both",
            id="llm-beside-llms",
        ),
        pytest.param(
            {"llm": LLM, "spend": {"perDay": 40}},
            "a budget needs prices: set those of llm, or of one of llms",
            id="a-budget-without-prices",
        ),
        pytest.param(
            {"llms": [GPT, GEMINI], "spend": {"perDay": 40}},
            "a budget needs prices: set those of llm, or of one of llms",
            id="a-budget-without-prices-of-several",
        ),
        pytest.param({"llms": [GPT, GPT]}, "names of llms must be unique", id="a-limit-twice"),
        pytest.param(
            {"llms": [{**GPT, "prices": PRICES}, GPT], "spend": {"perDay": 40}},
            "names of llms must be unique",
            id="a-limit-twice-of-which-one-has-prices",
        ),
        pytest.param(
            {"llm": {**LLM, "apiKeySecretRef": REF, "apiKeySecretRefs": [REF]}},
            "set apiKeySecretRef for one key or apiKeySecretRefs for several, not both",
            id="one-key-beside-several",
        ),
        pytest.param(
            {"llm": {**LLM, "apiKeySecretRefs": [REF, {"name": "other", "key": "KEY"}, REF]}},
            "apiKeySecretRefs names each key once",
            id="a-key-twice",
        ),
        pytest.param(
            {"llm": {**LLM, "apiKeySecretRefs": [REF], "admin": ADMIN}},
            "admin tells the limits of one project: leave it out beside apiKeySecretRefs",
            id="several-keys-of-one-project",
        ),
        pytest.param(
            {"llm": {"model": "m", "apiKeySecretRefs": [REF], "probe": {"enabled": False}}},
            "the token limit cannot be known: set tokensPerMinute, "
            "or apiKeySecretRef with the probe enabled",
            id="several-keys-without-a-probe",
        ),
        pytest.param(
            {"llms": [GPT], "rabbitmq": with_queue(tokens=[{"llm": "gtp", "perMessage": 1}])},
            "a queue's tokens name limits of llms: correct the name, or beside llm set "
            "tokensPerMessage",
            id="a-limit-that-there-is-not",
        ),
        pytest.param(
            {"llms": [GPT], "rabbitmq": with_queue(tokensPerMessage=1)},
            "tokensPerMessage goes with llm: beside llms set the queue's tokens, for each limit",
            id="tokens-of-no-limit",
        ),
        pytest.param(
            {
                "llms": [GPT],
                "rabbitmq": with_queue(
                    tokens=[{"llm": "gpt", "perMessage": 1}, {"llm": "gpt", "perMessage": 2}]
                ),
            },
            "a queue's tokens name each limit once",
            id="a-limit-twice-in-a-queue",
        ),
        pytest.param(
            {"llm": {"model": "gpt-5.2"}},
            "the token limit cannot be known: set tokensPerMinute, "
            "or apiKeySecretRef with the probe enabled",
            id="no-limit-and-no-key",
        ),
        pytest.param(
            {"llm": {"model": "gpt-5.2", "apiKeySecretRef": REF, "probe": {"enabled": False}}},
            "the token limit cannot be known: set tokensPerMinute, "
            "or apiKeySecretRef with the probe enabled",
            id="no-limit-and-no-probe",
        ),
        pytest.param(
            {"llm": {**LLM, "provider": "azure-openai"}},
            "Azure has no common address: set baseUrl to your resource's, "
            "such as https://NAME.openai.azure.com/openai/v1",
            id="azure-nowhere",
        ),
        pytest.param(
            {"llm": {"model": "gemini-2.5-flash", "provider": "gemini", "apiKeySecretRef": REF}},
            "Gemini tells no limits: set tokensPerMinute to your project's for this model",
            id="gemini-without-limits",
        ),
        pytest.param(
            {"llm": {**LLM, "apiVersion": "2024-10-21"}},
            "apiVersion goes with provider azure-openai: leave it out",
            id="an-api-version-of-openai",
        ),
        pytest.param(
            {"llm": {**LLM, "provider": "anthropic", "admin": ADMIN}},
            "admin goes with provider openai: leave it out",
            id="an-admin-api-of-anthropic",
        ),
        pytest.param(
            {"llm": {**LLM, "usage": {"prometheus": {"url": "http://prometheus"}}}},
            "set exactly one of preset and query",
            id="neither-preset-nor-query",
        ),
        pytest.param(
            {"llm": {**LLM, "usage": {"prometheus": {**PROMETHEUS, "query": "sum(tokens)"}}}},
            "set exactly one of preset and query",
            id="both-preset-and-query",
        ),
        pytest.param(
            {
                "llm": {
                    **LLM,
                    "usage": {
                        "prometheus": {
                            "url": "http://prometheus",
                            "query": "sum(tokens)",
                            "ownLabels": [LABEL],
                        }
                    },
                }
            },
            "ownLabels go with a preset: leave them out beside a query",
            id="own-labels-of-a-query",
        ),
        *(
            pytest.param(
                {"llm": {**LLM, "usage": {"prometheus": {**PROMETHEUS, **access}}}}, message, id=id_
            )
            for access, message, id_ in (
                (
                    {"bearerTokenSecretRef": REF, "basicAuth": BASIC_AUTH},
                    "set only one of bearerTokenSecretRef, basicAuth and a header Authorization",
                    "two-passwords",
                ),
                (
                    {
                        "basicAuth": BASIC_AUTH,
                        "httpHeaders": [{"name": "authorization", "value": "x"}],
                    },
                    "set only one of bearerTokenSecretRef, basicAuth and a header Authorization",
                    "a-password-and-a-header",
                ),
                (
                    {"httpHeaders": [TENANT, TENANT]},
                    "header names must be unique",
                    "a-header-twice",
                ),
                (
                    {"httpHeaders": [{**TENANT, "valueSecretRef": REF}]},
                    "set exactly one of value and valueSecretRef",
                    "a-header-with-two-values",
                ),
                (
                    {"httpHeaders": [{"name": "Content-Length", "value": "1"}]},
                    "the request sets this header itself: leave it out",
                    "a-header-of-the-request",
                ),
                (
                    {"parameters": [{"name": "query", "value": "1"}]},
                    "the parameters query and time are the operator's: leave them out",
                    "a-parameter-of-the-operator",
                ),
            )
        ),
    ],
)
def test_a_rule_refuses_with_its_message(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        PoolSpec.model_validate({**SMALLEST, **changes})

    assert messages(refused.value) == [message]


@pytest.mark.parametrize(
    "changes",
    [
        {"minReplicas": 10},
        {"minReplicas": 0},
        {"rabbitmq": {"urlSecretRef": REF, "queues": QUEUES}},
        {"rabbitmq": {**BROKER, "urlSecretRef": REF}},
        {"rabbitmq": {**BROKER, "queues": [{"name": "^q", "useRegex": True}, {"name": "q"}]}},
        {"rabbitmq": {**BROKER, "queues": [{"name": "a"}, {"name": "A"}]}},
        {"llm": LLM},
        {"llms": [GPT]},
        {"llms": [GPT, GEMINI], "rabbitmq": with_queue(tokens=[{"llm": "gpt", "perMessage": 1}])},
        {"llm": {"model": "gpt-5.2", "apiKeySecretRef": REF}},
        {"llm": {**LLM, "apiKeySecretRef": REF, "probe": {"enabled": False}}},
        {"llm": {"model": "gpt-5.2", "apiKeySecretRefs": [REF, {**REF, "key": "OTHER"}]}},
        {"llm": {"model": "gpt-5.2", "admin": ADMIN}},
        {"llm": {**LLM, **AZURE}},
        {"llm": {**LLM, **AZURE, "apiVersion": "2024-10-21"}},
        {"llm": {**LLM, "provider": "anthropic"}},
        {"llm": {**LLM, "provider": "gemini"}},
        {"llm": {**LLM, "bucketReservePercent": 100}},
        {"llm": {**LLM, "prices": PRICES}},
        {"llm": {**LLM, "prices": PRICES}, "spend": {"perDay": 40, "timeZone": "Asia/Seoul"}},
        {"llms": [GPT, {**GEMINI, "prices": PRICES}], "spend": {"perDay": 0.01}},
        {"llm": {**LLM, "usage": {"prometheus": {"url": "http://p", "query": "sum(tokens)"}}}},
        {"llm": {**LLM, "usage": {"prometheus": {**PROMETHEUS, "ownLabels": [LABEL]}}}},
        {"llm": {**LLM, "usage": {"prometheus": {**PROMETHEUS, **ACCESS}}}},
    ],
)
def test_what_the_rules_let_pass(changes: dict[str, Any]) -> None:
    PoolSpec.model_validate({**SMALLEST, **changes})


def models_of(spec: type[BaseModel]) -> Iterator[type[Model]]:
    """Yield the models that a spec is made of, itself first."""
    if issubclass(spec, Model):
        yield spec
    for field in spec.model_fields.values():
        for part in parts(field.annotation):
            yield from models_of(part)


def parts(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from parts(argument)


def test_every_model_with_a_rule_is_tried() -> None:
    assert {model for model in models_of(PoolSpec) if model.rules} == set(WRITTEN)


# --- The two forms of each rule ---

refs = st.just(REF)


def objects(
    required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


OF_LLM: dict[str, st.SearchStrategy[Any]] = {
    "tokensPerMinute": st.just(1),
    "apiKeySecretRef": refs,
    "apiKeySecretRefs": st.lists(refs, max_size=2),
    "probe": objects({}, enabled=st.booleans(), intervalSeconds=st.sampled_from([30, 90])),
    "bucketReservePercent": st.sampled_from([1, 15, 100]),
    "provider": st.sampled_from([one.value for one in Provider]),
    "baseUrl": st.just("https://llm.example/v1"),
    "apiVersion": st.just("2024-10-21"),
    "admin": st.just(ADMIN),
}
COSTS: tuple[dict[str, Any], ...] = (
    {"tokensPerMessage": 1_000},
    {"tokens": [{"llm": "gpt", "perMessage": 1_000}]},
    {"tokens": [{"llm": "gpt", "perMessage": 1_000}, {"llm": "gemini", "perMessage": 0}]},
)

WRITTEN: dict[type[Model], st.SearchStrategy[dict[str, Any]]] = {
    PoolSpec: objects(
        {
            "scaleTargetRef": st.just({"name": "scan-worker"}),
            "maxReplicas": st.integers(1, 5),
            "rabbitmq": st.sampled_from([BROKER, *(with_queue(**one) for one in COSTS)]),
        },
        minReplicas=st.integers(0, 5),
        schedules=st.lists(
            objects(
                {
                    "name": st.sampled_from("abc"),
                    "start": st.just("0 8 * * *"),
                    "end": st.just("0 9 * * *"),
                    "minReplicas": st.integers(0, 5),
                },
                maxReplicas=st.integers(1, 5),
            ),
            max_size=3,
        ),
        llm=st.sampled_from([LLM, {**LLM, "prices": PRICES}]),
        llms=st.lists(st.sampled_from([GPT, GEMINI, {**GEMINI, "prices": PRICES}]), max_size=2),
        spend=st.just({"perDay": 40}),
    ),
    Schedule: objects(
        {
            "name": st.sampled_from("abc"),
            "start": st.sampled_from(["0 8 * * *", "0 9 * * *"]),
            "end": st.sampled_from(["0 9 * * *", "0 10 * * *"]),
        },
        minReplicas=st.integers(0, 5),
        maxReplicas=st.integers(1, 5),
    ),
    Queue: objects(
        {"name": st.just("scan.vision")},
        tokens=st.lists(
            objects({"llm": st.sampled_from(["gpt", "gemini"]), "perMessage": st.just(0)}),
            max_size=2,
        ),
    ),
    RabbitMQ: objects(
        {
            "queues": st.lists(
                objects({"name": st.sampled_from("abcd")}, useRegex=st.booleans()),
                min_size=1,
                max_size=4,
            )
        },
        urlSecretRef=refs,
        managementUrlSecretRef=refs,
    ),
    Llm: objects({"model": st.just("gpt-5.2")}, **OF_LLM),
    NamedLlm: objects({"name": st.just("gpt"), "model": st.just("gpt-5.2")}, **OF_LLM),
    Prometheus: objects(
        {"url": st.just("http://prometheus")},
        preset=st.just("kong"),
        query=st.just("sum(tokens)"),
        ownLabels=st.lists(st.just({"name": "job", "value": "scan"}), max_size=2),
        bearerTokenSecretRef=refs,
        basicAuth=st.just(BASIC_AUTH),
        httpHeaders=st.lists(
            st.sampled_from([TENANT, {"name": "AUTHORIZATION", "value": "x"}]), max_size=2
        ),
        parameters=st.lists(
            objects({"name": st.sampled_from(["query", "time", "tenant"]), "value": st.just("a")}),
            max_size=2,
        ),
    ),
    Header: objects(
        {"name": st.sampled_from(["X-A", "Connection", "content-type", "X-Content-Type"])},
        value=st.just("a"),
        valueSecretRef=refs,
    ),
}


def refusal_by_the_api_server(model: type[Model], written: dict[str, Any]) -> str | None:
    """Return the first rule's message that does not hold for an object with defaults filled in."""
    schema = structural_schema(model)
    stored = deepcopy(written)
    apply_defaults(stored, schema)
    assert validate(stored, schema) == []
    for rule in schema["x-kubernetes-validations"]:
        if cel.evaluate(rule["rule"], {"self": stored}) is not True:
            return str(rule["message"])
    return None


def refusal_by_the_operator(model: type[Model], written: dict[str, Any]) -> str | None:
    try:
        model.model_validate(written)
    except ValidationError as error:
        (message,) = messages(error)
        return message
    return None


@given(st.data())
@pytest.mark.parametrize("model", WRITTEN, ids=lambda model: model.__name__)
def test_the_api_server_and_the_operator_refuse_the_same_for_the_same_reason(
    model: type[Model], data: st.DataObject
) -> None:
    written = data.draw(WRITTEN[model])

    assert refusal_by_the_api_server(model, written) == refusal_by_the_operator(model, written)


@pytest.mark.parametrize(
    ("model", "rule"), [(model, rule) for model in WRITTEN for rule in model.rules]
)
def test_what_the_rules_are_tried_on_breaks_each_of_them(model: type[Model], rule: Rule) -> None:
    find(WRITTEN[model], lambda one: refusal_by_the_operator(model, one) == rule.message)


# --- Fields ---


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("scaleTargetRef", None),
        ("scaleTargetRef.name", None),
        ("scaleTargetRef.name", "Scan_Worker"),
        ("scaleTargetRef.name", ""),
        ("scaleTargetRef.kind", "stateful_set"),
        ("scaleTargetRef.apiVersion", "apps/v1/scale"),
        ("scaleTargetRef.apiVersion", ""),
        ("mode", "Advise"),
        ("minReplicas", -1),
        ("minReplicas", 1.5),
        ("maxReplicas", None),
        ("maxReplicas", 0),
        ("maxReplicas", 10_001),
        ("pollingIntervalSeconds", 0),
        ("rabbitmq", None),
        ("rabbitmq.queues", None),
        ("rabbitmq.queues", []),
        ("rabbitmq.queues", [{"name": str(one)} for one in range(51)]),
        ("rabbitmq.queues.0.name", ""),
        ("rabbitmq.queues.0.messagesPerReplica", 0),
        ("rabbitmq.queues.0.tokensPerMessage", -1),
        ("rabbitmq.managementUrlSecretRef.key", "no spaces"),
        ("rabbitmq.managementUrlSecretRef.name", None),
        ("rabbitmq.vhost", ""),
        ("llm.model", None),
        ("llm.provider", "anyone"),
        ("llm.sharedWith", ["m"] * 21),
        ("llm.baseUrl", "api.openai.com"),
        ("llm.baseUrl", "https://user:secret@api.openai.com"),
        ("llm.baseUrl", "https://api.openai.com/v1?key=secret"),
        ("llm.tokensPerMinute", 0),
        ("llm.requestsPerMinute", -5),
        ("llm.targetUtilizationPercent", 0),
        ("llm.targetUtilizationPercent", 101),
        ("llm.onQuotaExhausted", "Panic"),
        ("llm.usage.windowSeconds", 9),
        ("llm.usage.prometheus.preset", "statsd"),
        ("llm.usage.prometheus.url", None),
        ("llm.usage.prometheus.httpHeaders", [TENANT] * 11),
        ("llm.usage.prometheus.parameters", [{"name": "a", "value": "b"}] * 11),
        ("llm.usage.prometheus.basicAuth.passwordSecretRef", None),
        ("llm.probe.intervalSeconds", 0),
        ("llm.weight", 0),
        ("llm.weight", 1_001),
        ("llm.ramp.percent", 0),
        ("llm.ramp.periodSeconds", 59),
        ("llm.ramp.aboveTokensPerMinute", 0),
        ("llm.admin.projectId", "proj/abc"),
        ("llm.admin.apiKeySecretRef", None),
        ("llm.apiVersion", "a/b"),
        ("llm.bucketReservePercent", 0),
        ("llm.prices.output", None),
        ("llm.prices.input", -1),
        ("llm.prices.output", 1_000_001),
        ("llm.prices.cachedInput", -0.1),
        ("llm.prices.cachedInputPercent", 101),
        ("spend.perDay", None),
        ("spend.perDay", 0),
        ("spend.perDay", 10**9 + 1),
        ("spend.timeZone", "z" * 65),
        ("memory.targetUtilizationPercent", 101),
        ("fallback.replicas", None),
        ("fallback.failureThreshold", 0),
        ("behavior.scaleUp.tolerance", -0.1),
        ("behavior.scaleUp.stabilizationWindowSeconds", 3_601),
        ("behavior.scaleUp.selectPolicy", "Average"),
        ("behavior.scaleUp.policies.0.periodSeconds", 1_801),
        ("behavior.scaleUp.policies.0.value", 0),
        ("behavior.scaleDown.policies", [POLICY] * 11),
    ],
)
def test_a_field_out_of_its_bounds_is_refused_by_both(path: str, value: object) -> None:
    written = with_field(path, value)
    assert validate(written, structural_schema(PoolSpec)) != []

    with pytest.raises(ValidationError) as refused:
        PoolSpec.model_validate(written)
    places = [".".join(map(str, error["loc"])) for error in refused.value.errors()]
    assert path in places


def test_the_smallest_spec_has_the_documented_defaults() -> None:
    spec = PoolSpec.model_validate({**SMALLEST, "llm": LLM, "fallback": {"replicas": 2}})

    assert spec == PoolSpec(
        scale_target_ref=ScaleTargetRef(
            api_version="apps/v1", kind="Deployment", name="scan-worker"
        ),
        mode=Mode.ENFORCE,
        min_replicas=1,
        max_replicas=10,
        polling_interval_seconds=10,
        rabbitmq=RabbitMQ(
            url_secret_ref=None,
            management_url_secret_ref=SecretKeyRef(name="scan-secret", key="KEY"),
            vhost=None,
            ca_secret_ref=None,
            queues=(Queue(name="scan.vision", messages_per_replica=10, tokens_per_message=0),),
        ),
        llm=Llm(
            provider=Provider.OPENAI,
            model="gpt-5.2",
            base_url=None,
            api_version=None,
            api_key_secret_ref=None,
            tokens_per_minute=2_000_000,
            requests_per_minute=None,
            target_utilization_percent=85,
            tokens_per_replica_minute=None,
            weight=1,
            ramp=None,
            admin=None,
            bucket_reserve_percent=15,
            on_quota_exhausted=OnQuotaExhausted.SCALE_TO_MIN,
            usage=Usage(prometheus=None, window_seconds=60),
            probe=Probe(enabled=True, interval_seconds=60),
        ),
        memory=MemoryTarget(enabled=True, target_utilization_percent=85),
        fallback=Fallback(failure_threshold=3, replicas=2),
        behavior=Behavior(scale_up=HPA_RULES, scale_down=HPA_RULES),
    )


HPA_RULES = ScalingRules(
    stabilization_window_seconds=None,
    select_policy=SelectPolicy.MAX,
    policies=(),
    tolerance=0.1,
)


def test_the_smallest_ramp_has_the_documented_defaults() -> None:
    assert Llm.model_validate({**LLM, "ramp": {}}).ramp == Ramp(
        percent=50, period_seconds=900, above_tokens_per_minute=1_000_000
    )


@pytest.mark.parametrize(
    ("changes", "base"),
    [
        ({}, "https://api.openai.com/v1"),
        ({"provider": "anthropic"}, "https://api.anthropic.com/v1"),
        ({"provider": "gemini"}, "https://generativelanguage.googleapis.com/v1beta"),
        (AZURE, "https://scan.openai.azure.com/openai/v1"),
        ({"baseUrl": "http://gateway/v1"}, "http://gateway/v1"),
        ({"provider": "anthropic", "baseUrl": "http://gateway/v1"}, "http://gateway/v1"),
    ],
)
def test_the_api_is_the_providers_own_unless_told(changes: dict[str, Any], base: str) -> None:
    assert Llm.model_validate({**LLM, **changes}).api_base == base


def test_unknown_fields_are_ignored_at_every_level() -> None:
    """A newer CRD must not stop an older operator."""
    newer = deepcopy(FULL)
    newer["weight"] = 3
    newer["rabbitmq"]["queues"][0]["urgency"] = "high"
    newer["llm"]["usage"]["prometheus"]["headers"] = {"X-Scope-OrgID": "scan"}

    assert PoolSpec.model_validate(newer) == PoolSpec.model_validate(FULL)


def test_a_spec_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        pool().max_replicas = 11  # type: ignore[misc]


def test_a_spec_is_written_as_it_was_read() -> None:
    spec = PoolSpec.model_validate(FULL)

    written = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert PoolSpec.model_validate(written) == spec
    assert "maxReplicas" in written
