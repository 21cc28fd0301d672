import json
from base64 import b64encode

import pytest

from prometheus_stub import NOW, serving, vector
from scanpool.models.conditions import Reason
from scanpool.models.limit_names import limit_names
from scanpool.models.llm import Prometheus
from scanpool.models.reading import Available, Reading, Unavailable
from scanpool.sources.prometheus import read_usage
from scanpool.sources.prometheus_session import Credentials

SECRET = "s3cr3t-hunter2"
TENANT = {"name": "X-Scope-OrgID", "valueSecretRef": {"name": "mimir", "key": "tenant"}}


def read(url: str, credentials: Credentials | None = None, **config: object) -> Reading[object]:
    given = Prometheus.model_validate({"url": url, "query": "tokens", **config})
    limit = limit_names("openai", "gpt-5.2")
    return read_usage(given, limit, 60, credentials or Credentials(), clock=lambda: NOW)


@pytest.mark.parametrize(
    ("config", "credentials", "sent"),
    [
        ({}, Credentials(), {"Authorization": None, "X-Scope-OrgID": None}),
        ({"httpHeaders": [{"name": "X-Scope-OrgID", "value": "scan|chat"}]}, Credentials(),
         {"X-Scope-OrgID": "scan|chat"}),
        ({"httpHeaders": [TENANT]}, Credentials(headers=(("X-Scope-OrgID", "scan\n"),)),
         {"X-Scope-OrgID": "scan"}),
        ({"httpHeaders": [TENANT, {"name": "THANOS-TENANT", "value": "a b"}]},
         Credentials(headers=(("X-Scope-OrgID", "scan"),), bearer_token="t"),
         {"X-Scope-OrgID": "scan", "THANOS-TENANT": "a b", "Authorization": "Bearer t"}),
        ({}, Credentials(basic_auth=("123456\n", "glc_é:x\n")),
         {"Authorization": f"Basic {b64encode('123456:glc_é:x'.encode()).decode()}"}),
        ({"httpHeaders": [{"name": "authorization", "value": "Token abc"}]}, Credentials(),
         {"Authorization": "Token abc"}),
    ],
)  # fmt: skip
def test_what_a_server_wants_is_sent_with_every_query(
    config: dict[str, object], credentials: Credentials, sent: dict[str, str | None],
    monkeypatch: pytest.MonkeyPatch, tmp_path,
) -> None:  # fmt: skip
    # requests would take a user and password from here.
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(lambda _: (200, vector("1"))) as server:
        reading = read(server.url, credentials, rateLimitedQuery="refused", **config)
        assert isinstance(reading, Available)
        assert server.queries == ["tokens", "refused"]
        for headers in server.headers:
            assert {name: headers[name] for name in sent} == sent


def test_parameters_of_a_tenant_stand_in_the_url_and_the_query_does_not() -> None:
    written = [("extra_label", "tenant=a&b"), ("extra_label", "x=é"), ("replicaLabels[]", "r")]
    parameters = [{"name": name, "value": value} for name, value in written]
    with serving(lambda _: (200, vector("1"))) as server:
        assert isinstance(read(server.url, parameters=parameters), Available)
        assert server.parameters == [
            {"extra_label": ["tenant=a&b", "x=é"], "replicaLabels[]": ["r"]}
        ]
        assert server.queries == ["tokens"]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, "no org id\n", "HTTP 401: no org id"),
        (401, "no org id", "basicAuth or httpHeaders"),
        (403, "tenant not allowed", "basicAuth or httpHeaders"),
        (404, "page not found", "HTTP 404: page not found"),
        (422, '{"status":"error","error":"query too long"}', "HTTP 422: query too long"),
        (200, '{"status":"error","error":"too many samples"}', "HTTP 200: too many samples"),
        (429, "too many outstanding requests", "HTTP 429: too many outstanding requests"),
        (403, '{"message": "Missing Authentication Token"}', "Missing Authentication Token"),
        (403, '{"error": {"code": 403, "message": "denied"}}', "(HTTP 403: denied)"),
        (403, '{"detail": "no such tenant"}', "(HTTP 403: no such tenant)"),
        (403, '{"reason": "no such tenant"}', "(HTTP 403: no such tenant)"),
        (403, '{"errors": [{"message": "no such tenant"}]}', "(HTTP 403: no such tenant)"),
        (403, '{"errors": ["no such tenant"]}', "(HTTP 403: no such tenant)"),
        (401, '{"error": "invalid_token", "error_description": "it has expired"}',
         "(HTTP 401: it has expired)"),
        (401, '{"title": "Unauthorized", "status": 401}', "(HTTP 401: Unauthorized)"),
        (401, '"no org id"', "(HTTP 401: no org id)"),
        (403, '{"errors": [], "reason": {}}', "(HTTP 403)"),
        (403, '{"error": 7, "message": ["denied", "twice"]}', "(HTTP 403: denied)"),
        (500, '{"error":' * 300 + '"deep"' + "}" * 300, "(HTTP 500)"),
        (502, "<html><body>Bad Gateway</body></html>", "(HTTP 502)"),
        (502, " \r\n<!DOCTYPE html>", "(HTTP 502)"),
        (503, "{}", "(HTTP 503)"),
        (503, "", "(HTTP 503)"),
        (503, "upstream connect error\r\nor\x00 disconnect\u202e/reset",
         "(HTTP 503: upstream connect error or disconnect /reset)"),
    ],
)  # fmt: skip
def test_a_servers_reason_is_in_the_message(status: int, body: str, words: str) -> None:
    with serving(lambda _: (status, body)) as server:
        reading = read(server.url)
    assert isinstance(reading, Unavailable)
    assert reading.reason is Reason.PROMETHEUS_QUERY_FAILED
    assert words in reading.message
    assert reading.message.isprintable()


def test_a_reason_without_end_is_cut() -> None:
    with serving(lambda _: (500, "x" * 100_000)) as server:
        reading = read(server.url)
    assert isinstance(reading, Unavailable)
    assert len(reading.message) < 600


BASIC = b64encode(f"user:{SECRET}".encode()).decode()


@pytest.mark.parametrize(
    ("credentials", "echoed"),
    [
        (Credentials(bearer_token=f"{SECRET}\n"), SECRET),
        (Credentials(basic_auth=("user", SECRET)), SECRET),
        (Credentials(basic_auth=("user", SECRET)), f"Basic {BASIC}"),
        (Credentials(basic_auth=(f"user-{SECRET}", f"{SECRET}\n")), f"user-{SECRET} {SECRET}"),
        (Credentials(headers=(("X-Scope-OrgID", f" {SECRET}"),)), f"no tenant {SECRET}"),
        (Credentials(headers=(("Authorization", f"Token {SECRET}"),)), f"Token {SECRET}"),
        (Credentials(headers=(("Authorization", f"Token {SECRET}"),)), f"'{SECRET}' is unknown"),
    ],
)
@pytest.mark.parametrize("form", ["{}", '{{"error": "bad {}"}}', '{{"warnings": ["{}"]}}'])
@pytest.mark.parametrize("status", [200, 401, 500])
def test_no_secret_is_repeated(
    credentials: Credentials, echoed: str, form: str, status: int
) -> None:
    with serving(lambda _: (status, form.format(echoed))) as server:
        reading = read(server.url, credentials)
    assert isinstance(reading, Unavailable)
    assert SECRET not in reading.message
    assert BASIC not in reading.message
    assert SECRET not in repr(credentials)


@pytest.mark.parametrize(
    ("credentials", "part"),
    [
        (Credentials(headers=(("X-Scope-OrgID", f"{SECRET}\nX: y"),)), "httpHeaders"),
        (Credentials(headers=(("X-Scope-OrgID", f"{SECRET}\u20ac"),)), "httpHeaders"),
        (Credentials(headers=(("X-Scope-OrgID", " "),)), "httpHeaders"),
        (Credentials(basic_auth=("", SECRET)), "basicAuth"),
        (Credentials(basic_auth=("a:b", SECRET)), "basicAuth"),
        (Credentials(basic_auth=("a", f"{SECRET}\nx")), "basicAuth"),
        (Credentials(bearer_token=f"a {SECRET}"), "bearerTokenSecretRef"),
        (Credentials(ca_pem=SECRET), "caSecretRef"),
        (Credentials(ca_pem=" "), "caSecretRef"),
    ],
)
def test_what_cannot_be_sent_names_its_field(credentials: Credentials, part: str) -> None:
    reading = read("http://127.0.0.1:1", credentials)
    assert isinstance(reading, Unavailable)
    assert f"llm.usage.prometheus.{part}" in reading.message
    assert SECRET not in reading.message


def test_a_message_names_the_query_and_the_server_alone() -> None:
    parameters = [{"name": "tenant", "value": SECRET}]
    with serving(lambda _: (401, json.dumps({"error": "no"}))) as server:
        reading = read(server.url, parameters=parameters)
    assert isinstance(reading, Unavailable)
    assert f"{server.url} does not answer the query `tokens`" in reading.message
    assert SECRET not in reading.message
