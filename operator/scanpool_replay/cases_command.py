"""`cases`: the closed-loop cases under scanpool, with and without restarts, and its rivals."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from scanpool_replay import cases
from scanpool_replay.cases import Outcome
from scanpool_replay.report import cases as tables
from scanpool_replay.report.documents import WIDTH
from scanpool_replay.scenario import Scenario


def register(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command; `run(arguments)` carries it out and returns the exit code."""
    parser = commands.add_parser(
        "cases", help="an hour of trouble each: what scanpool and others make of it"
    )
    parser.add_argument("name", nargs="*", help="cases to run: names, or files (all)")
    parser.add_argument(
        "--restart", action="store_true",
        help="only scanpool, with an operator that starts again in the middle of each",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write one table of all")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run cases and print a table for each. Exit code 1: scanpool breaks a bound."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    scenarios = [cases.read(name) for name in options.name or cases.names()]
    found = []
    for scenario in scenarios:
        own = _own(scenario, options)
        outcomes = own if options.restart else [*own, *_others(scenario, options.seed)]
        console.print(tables.table(f"{scenario.name}: {scenario.description}", outcomes))
        found.append((scenario.name, own, outcomes))
    if options.markdown is not None:
        text = tables.markdown([(name, outcomes) for name, _, outcomes in found])
        options.markdown.write_text(text, "utf-8")
    broken = [name for name, own, _ in found if any(one.broken for one in own)]
    if broken:
        console.print(f"scanpool breaks bounds of {', '.join(broken)}", style="red")
    return 1 if broken else 0


def _own(scenario: Scenario, options: argparse.Namespace) -> list[Outcome]:
    controller = cases.scanpool_of(scenario)
    again = cases.play(cases.with_restarts(scenario), controller, options.seed)
    if options.restart:
        return [again]
    return [cases.play(scenario, controller, options.seed), again]


def _others(scenario: Scenario, seed: int) -> list[Outcome]:
    return [cases.play(scenario, one, seed) for one in cases.rivals(scenario)]
