"""`plan`: for a pool file and a load, what to expect and what to set."""

import argparse
from pathlib import Path


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command; `run(arguments)` carries it out and returns the exit code."""
    parser = commands.add_parser("plan", help="what a pool would do under a load, and what to set")
    parser.add_argument("-f", "--file", type=Path, required=True, help="a ScanWorkerPool, YAML")
    load = parser.add_mutually_exclusive_group(required=True)
    load.add_argument("--vus", type=int, help="virtual users: each waits for its item")
    load.add_argument("--arrivals-per-minute", type=float, help="items, whether or not others wait")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the load (10)")
    parser.add_argument(
        "--drain-seconds", type=float, metavar="S",
        help="search the least limits that are empty so soon after the load ends",
    )  # fmt: skip
    parser.add_argument(
        "--tokens-per-minute", type=int, metavar="TPM",
        help="the provider's limit; else the pool's tokensPerMinute, else 2,000,000",
    )  # fmt: skip
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--node-cpu", type=int, default=2_000, metavar="MILLICORES")
    parser.add_argument("--node-memory", type=int, default=3_826, metavar="MI")
    parser.add_argument("--memory-limit", type=int, default=1_024, metavar="MI", help="of a pod")
    parser.add_argument("--concurrency", type=int, default=100, help="messages at once in a pod")
    parser.add_argument(
        "--cpu-seconds", type=float, metavar="S",
        help="CPU of one item through all queues; else what the pool's tokensPerReplicaMinute "
        "implies for one busy core",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    # The replay and its tables take a while to import: no other command waits for them.
    from scanpool_replay.plan_answer import run  # noqa: PLC0415

    return run(options)
