import contextlib
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanpool.models.conditions import Reason
from scanpool.sources.failures import SourceError
from scanpool.sources.urls import Address, parse_address

PORTS = {"http": 80, "https": 443}
REMEDY = "spec.url"


@pytest.mark.parametrize(
    ("url", "address", "origin"),
    [
        ("http://broker", Address("http", "broker", 80, ""), "http://broker:80"),
        (
            "HTTPS://Broker:8443/api\n",
            Address("https", "broker", 8443, "/api"),
            "https://broker:8443",
        ),
        (
            "http://us%40er:p%2Fa%3Ass@h:15672/my%2Fvhost?x=1",
            Address("http", "h", 15672, "/my%2Fvhost", "us@er", "p/a:ss"),
            "http://h:15672",
        ),
        ("http://u:@[::1]:1/", Address("http", "::1", 1, "/", "u", ""), "http://[::1]:1"),
    ],
)
def test_a_url_is_taken_apart_and_decoded(url: str, address: Address, origin: str) -> None:
    parsed = parse_address(url, PORTS, REMEDY)
    assert (parsed, parsed.origin) == (address, origin)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "begin with http:// or https://"),
        ("broker:15672", "begin with"),
        ("amqp://u:hunter2@h", "begin with"),
        ("http://", "names no host"),
        ("http://u:hunter2@", "names no host"),
        ("http://u:hunter2@h:0", "names no host and port"),
        ("http://u:hunter2@h:99999", "port is not a number"),
        ("http://u:hunter2#x@h", "percent-encode"),
        ("http://u:1/hunter2@h:1", "unclear where"),
        ("http://u:1?hunter2@h:1", "unclear where"),
        ("http://u:1#hunter2@h:1", "unclear where"),
        ("http://u:hunter2@[::1", "malformed"),
        ("http://u:hunter2 @h", "white space"),
        ("http://u:hunter2@h\n.example", "white space or control"),
        ("http://" + "h" * 254, "names no host"),
    ],
)
def test_a_url_that_cannot_be_used_says_why_and_keeps_its_secret(url: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as raised:
        parse_address(url, PORTS, REMEDY)
    assert raised.value.gap.reason is Reason.INVALID_URL
    assert raised.value.gap.message.endswith("; correct spec.url")
    assert "hunter2" not in str(raised.value)
    assert "hunter2" not in raised.value.gap.message


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_every_user_name_and_password_survives_percent_encoding(text: str) -> None:
    encoded = quote(text, safe="")
    address = parse_address(f"http://{encoded}:{encoded}@h/", PORTS, REMEDY)
    assert (address.user, address.password) == (text, text)


@given(st.text(max_size=200).map(lambda text: "http://" + text))
def test_no_url_raises_anything_else(url: str) -> None:
    with contextlib.suppress(SourceError):
        parse_address(url, PORTS, REMEDY)


def test_an_address_keeps_its_secrets_out_of_its_repr() -> None:
    assert "hunter2" not in repr(parse_address("http://hunter2:hunter2@h", PORTS, REMEDY))
