"""Commands of the sandbox: each part as a process of its own.

Imports are made where a command needs them: there are many processes on a small machine.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

REPORT_SECONDS = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["kube"]:
        from scanpool_sandbox.kube.__main__ import main as kube  # noqa: PLC0415 - see above

        return kube(arguments[1:])
    if arguments[:1] == ["demo"]:
        from scanpool_sandbox.demo import main as demo  # noqa: PLC0415 - see above

        return demo(arguments[1:])
    if arguments[:1] == ["bench"]:
        from scanpool_sandbox.bench import main as bench  # noqa: PLC0415 - see above

        return bench(arguments[1:])
    options = _parser().parse_args(arguments)
    run = {
        "openai": _openai,
        "users": _users,
        "neighbor": _neighbor,
        "rabbitmq": _rabbitmq,
    }[options.command]
    return run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scanpool-sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    openai = commands.add_parser("openai", help="an LLM provider with OpenAI's API and limits")
    openai.add_argument("--host", default="127.0.0.1")
    openai.add_argument("--port", type=int, default=8080, help="0 for a free one")
    openai.add_argument("--api-key", action="append", help="may be repeated")
    openai.add_argument("--model", action="append", help="may be repeated")
    openai.add_argument("--tokens-per-minute", type=int, default=2_000_000)
    openai.add_argument("--requests-per-minute", type=int, default=10_000)
    openai.add_argument("--quota-tokens", type=int, help="prepaid tokens; unlimited by default")
    openai.add_argument("--latency-seconds", type=float, default=1.0, help="the median")
    openai.add_argument("--latency-sigma", type=float, default=0.25, help="of its logarithm")
    openai.add_argument("--seed", type=int, default=0)

    users = commands.add_parser("users", help="submit scans and count what comes back")
    users.add_argument("--broker-url", required=True, help="amqp://user:password@host:port/vhost")
    users.add_argument("--timeout-seconds", type=float, default=300.0)
    load = users.add_mutually_exclusive_group(required=True)
    load.add_argument("--burst", type=int, metavar="SCANS", help="all at once")
    load.add_argument("--virtual-users", type=int, metavar="USERS", help="a closed loop")
    users.add_argument("--ramp-up-seconds", type=float, default=30.0)
    users.add_argument("--hold-seconds", type=float, default=120.0)
    users.add_argument("--ramp-down-seconds", type=float, default=30.0)

    neighbor = commands.add_parser("neighbor", help="another consumer of the same key")
    neighbor.add_argument("--base-url", required=True, help="with /v1")
    neighbor.add_argument("--api-key", required=True)
    neighbor.add_argument("--model", default="gpt-5.2")
    neighbor.add_argument("--tokens-per-minute", type=int, required=True)

    rabbitmq = commands.add_parser("rabbitmq", help="a private RabbitMQ, the real server")
    rabbitmq.add_argument("--tls", action="store_true")

    commands.add_parser("kube", help="a Kubernetes API; see kube --help", add_help=False)
    commands.add_parser("demo", help="the whole story; see demo --help", add_help=False)
    commands.add_parser("bench", help="many pools; see bench --help", add_help=False)
    return parser


def _openai(options: argparse.Namespace) -> int:
    from scanpool_sandbox.openai_provider import (  # noqa: PLC0415 - see above
        Latency,
        OpenAISettings,
    )
    from scanpool_sandbox.openai_server import OpenAIServer  # noqa: PLC0415 - see above

    defaults = OpenAISettings()
    settings = OpenAISettings(
        api_keys=tuple(options.api_key or defaults.api_keys),
        models=tuple(options.model or defaults.models),
        tokens_per_minute=options.tokens_per_minute,
        requests_per_minute=options.requests_per_minute,
        quota_tokens=options.quota_tokens,
        latency=Latency(options.latency_seconds, options.latency_sigma),
        seed=options.seed,
    )

    async def serve() -> None:
        async with OpenAIServer(settings, host=options.host, port=options.port) as server:
            _report(url=server.url, base_url=server.base_url)
            await _until_signalled()

    asyncio.run(serve())
    return 0


def _users(options: argparse.Namespace) -> int:
    from scanpool_sandbox.users import Counts, LoadProfile, Users  # noqa: PLC0415 - see above

    def tell(counts: Counts) -> None:
        _report(
            submitted=counts.submitted,
            completed=counts.completed,
            failed=counts.failed,
            in_flight=counts.in_flight,
            duplicates=counts.duplicates,
            timed_out=counts.timed_out,
            reasons=counts.reasons,
        )

    async def watch(users: Users) -> None:
        while True:
            tell(users.counts())
            await asyncio.sleep(REPORT_SECONDS)

    async def load() -> int:
        """Return 1 if scans were still in flight when the time was up."""
        async with Users(options.broker_url) as users:
            watching = asyncio.create_task(watch(users))
            try:
                if options.burst is None:
                    profile = LoadProfile(
                        users=options.virtual_users,
                        ramp_up_seconds=options.ramp_up_seconds,
                        hold_seconds=options.hold_seconds,
                        ramp_down_seconds=options.ramp_down_seconds,
                        timeout_seconds=options.timeout_seconds,
                    )
                    await users.run(profile)
                else:
                    await users.submit(options.burst)
                await users.wait_all(options.timeout_seconds)
            except TimeoutError:
                return 1
            finally:
                watching.cancel()
                tell(users.counts())
            return 0

    return asyncio.run(load())


def _neighbor(options: argparse.Namespace) -> int:
    from scanpool_sandbox.neighbor import Neighbor  # noqa: PLC0415 - see above

    async def burn() -> None:
        neighbor = Neighbor(
            options.base_url,
            options.api_key,
            options.model,
            tokens_per_minute=options.tokens_per_minute,
        )
        async with neighbor:
            await _until_signalled()
            _report(accepted=neighbor.accepted, refused=neighbor.refused)

    asyncio.run(burn())
    return 0


def _rabbitmq(options: argparse.Namespace) -> int:
    from scanpool_sandbox.rabbitmq_server import RabbitMQServer  # noqa: PLC0415 - see above

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with (
        tempfile.TemporaryDirectory(prefix="scanpool-rabbitmq-") as directory,
        RabbitMQServer(Path(directory), tls=options.tls) as server,
    ):
        _report(amqp_url=server.amqp_url(), management_url=server.management_url)
        stopping.wait()
    return 0


async def _until_signalled() -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await stopping.wait()


def _report(**document: object) -> None:
    """Print one JSON line, at once also into a pipe."""
    print(json.dumps(document), flush=True)
