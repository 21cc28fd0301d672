import pytest

from scanpool.models.conditions import Reason
from scanpool.sources.allowed_hosts import AllowedHosts
from scanpool.sources.failures import SourceError


@pytest.mark.parametrize(
    ("pattern", "host", "port"),
    [
        ("api.openai.com", "api.openai.com", 443),
        ("api.openai.com", "API.OpenAI.com.", 443),
        (" API.openai.com. ", "api.openai.com", 443),
        ("api.openai.com:443", "api.openai.com", 443),
        ("*.svc", "rabbitmq.broker.svc", 15672),
        ("*.svc:15672", "rabbitmq.broker.svc", 15672),
        ("10.0.0.7", "10.0.0.7", 80),
        ("fd00::7", "fd00::7", 80),
        ("[fd00::7]:80", "fd00::7", 80),
    ],
)
def test_a_host_that_is_named_is_allowed(pattern: str, host: str, port: int) -> None:
    AllowedHosts((pattern,)).check(host, port)


@pytest.mark.parametrize(
    ("pattern", "host", "port"),
    [
        ("api.openai.com", "openai.com", 443),
        ("api.openai.com", "api.openai.com.evil.example", 443),
        ("api.openai.com", "evil-api.openai.com", 443),
        ("api.openai.com:443", "api.openai.com", 8443),
        ("api.openai.com:443", "api.openai.com", 4430),
        ("*.svc", "svc", 80),
        ("*.svc", "evilsvc", 80),
        ("*.svc:15672", "rabbitmq.broker.svc", 22),
        ("10.0.0.7", "10.0.0.70", 80),
        ("[fd00::7]:80", "fd00::7", 81),
        ("fd00::7", "169.254.169.254", 80),
        ("*", "anything", 80),
    ],
)
def test_every_other_host_is_not(pattern: str, host: str, port: int) -> None:
    with pytest.raises(SourceError) as raised:
        AllowedHosts((pattern,)).check(host, port)
    assert raised.value.gap.reason is Reason.HOST_NOT_ALLOWED
    assert f"{host}:{port}" in raised.value.gap.message


def test_without_a_list_every_host_is() -> None:
    AllowedHosts().check("anything", 1)


def test_any_of_several_is_enough() -> None:
    AllowedHosts(("a", "b")).check("b", 1)
