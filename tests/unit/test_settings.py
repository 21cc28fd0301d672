import argparse
from pathlib import Path

import pytest

from scanpool import settings
from scanpool.settings import HEALTH_PORT, HOST, METRICS_PORT, Election, KedaScaler, Settings


def parsed(*argv: str) -> Settings:
    parser = argparse.ArgumentParser()
    settings.add_arguments(parser)
    return settings.from_arguments(parser.parse_args(argv))


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCANPOOL_NAMESPACES", raising=False)
    monkeypatch.delenv("SCANPOOL_ALLOWED_HOSTS", raising=False)


def test_the_defaults_are_those_of_the_manifest() -> None:
    assert (
        parsed()
        == Settings()
        == Settings((), HOST, HEALTH_PORT, METRICS_PORT, True, False, election=Election())
    )


def test_every_option_counts() -> None:
    assert parsed(
        "-n", "scan", "--namespace", "team", "--host", "127.0.0.1", "--health-port", "1",
        "--metrics-port", "2", "--log-format", "text", "--verbose", "--lease", "shard-a",
        "--lease-seconds", "30", "--allow-host", "*.svc", "--keda-port", "3", "--keda-tls", "/tls",
        "--keda-client-ca", "/ca/ca.crt",
    ) == Settings(
        ("scan", "team"), "127.0.0.1", 1, 2, json_logs=False, verbose=True,
        allowed_hosts=("*.svc",), election=Election("shard-a", 30),
        keda=KedaScaler(3, Path("/tls"), Path("/ca/ca.crt")),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "election"),
    [
        ((), Election("scanpool", 15)),
        (("--leader-elect=true",), Election()),
        (("--leader-elect=false",), None),
        (("--leader-elect", "false", "--lease", "shard-a"), None),
    ],
)
def test_a_single_replica_may_go_without_an_election(
    argv: tuple[str, ...], election: Election | None
) -> None:
    assert parsed(*argv).election == election


@pytest.mark.parametrize(
    "argv", [("--lease-seconds", "0"), ("--lease-seconds", "x"), ("--leader-elect=maybe",)]
)
def test_an_election_that_makes_no_sense_is_refused(argv: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit):
        parsed(*argv)


@pytest.mark.parametrize(
    ("environment", "argv", "namespaces"),
    [
        pytest.param("", (), (), id="empty-is-all"),
        pytest.param("scan", (), ("scan",), id="one"),
        pytest.param("scan, team,", (), ("scan", "team"), id="as-people-write-lists"),
        pytest.param("scan", ("-n", "team"), ("team",), id="the-command-line-wins"),
    ],
)
def test_the_namespaces_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    environment: str,
    argv: tuple[str, ...],
    namespaces: tuple[str, ...],
) -> None:
    monkeypatch.setenv("SCANPOOL_NAMESPACES", environment)

    assert parsed(*argv).namespaces == namespaces


@pytest.mark.parametrize(
    ("environment", "argv", "hosts"),
    [
        pytest.param("", (), (), id="empty-is-any"),
        pytest.param("*.svc, api.openai.com", (), ("*.svc", "api.openai.com"), id="a-list"),
        pytest.param("*.svc", ("--allow-host", "broker"), ("broker",), id="the-command-line-wins"),
    ],
)
def test_the_allowed_hosts_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    environment: str,
    argv: tuple[str, ...],
    hosts: tuple[str, ...],
) -> None:
    monkeypatch.setenv("SCANPOOL_ALLOWED_HOSTS", environment)

    assert parsed(*argv).allowed_hosts == hosts


@pytest.mark.parametrize(
    ("argv", "labels", "is_its"),
    [
        (("--selector", "shard=a", "--lease", "scanpool-a"), {"shard": "a"}, True),
        (("-l", "shard in (b,c)"), {"shard": "a"}, False),
        (("-l", ""), {}, True),
    ],
)
def test_a_shard_has_a_name_and_pools(
    argv: tuple[str, ...], labels: dict[str, str], is_its: bool
) -> None:
    told = parsed(*argv)

    assert told.shard is not None
    assert told.election == Election(told.shard.name)
    assert told.shard.selector.selects(labels) is is_its


def test_without_a_selector_there_are_no_shards() -> None:
    assert parsed("--lease", "other").shard is None


def test_a_selector_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--selector", "shard in a")

    assert "'shard in a' is no requirement on a label" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "missing"),
    [
        (("--keda-tls", "/tls"), "--keda-tls needs --keda-port"),
        (("--keda-port", "3", "--keda-client-ca", "/ca"), "--keda-client-ca needs --keda-tls"),
        (("--keda-client-ca", "/ca"), "--keda-client-ca needs --keda-tls"),
    ],
)
def test_what_would_guard_nothing_is_refused(argv: tuple[str, ...], missing: str) -> None:
    with pytest.raises(SystemExit, match=missing):
        parsed(*argv)


def test_an_unknown_log_format_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--log-format", "xml")

    assert "invalid choice" in capsys.readouterr().err
