"""`cases`: the closed-loop cases under scanpool, with and without restarts, and its rivals."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from scanpool_replay import cases
from scanpool_replay.arguments import count
from scanpool_replay.cases import Outcome
from scanpool_replay.contenders import Controller
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
    parser.add_argument("--seed", type=int, default=1, help="of the first run (1)")
    parser.add_argument(
        "--repeat", type=count, default=1, metavar="N",
        help="seeds to run scanpool with, the others only with the first; "
        "of each figure, the worst is shown (1)",
    )  # fmt: skip
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write one table of all")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run cases and print a table for each. Exit code 1: scanpool breaks a bound."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    scenarios = [cases.read(name) for name in options.name or cases.names()]
    found = []
    for scenario in scenarios:
        seeds = range(options.seed, options.seed + options.repeat)
        restarted = cases.with_restarts(scenario)
        worlds = [restarted] if options.restart else [scenario, restarted]
        own = _outcomes(worlds, cases.scanpool_of(scenario), seeds)
        rivals = () if options.restart else cases.rivals(scenario)
        others = [one for rival in rivals for one in _outcomes([scenario], rival, seeds[:1])]
        outcomes = [*own, *others]
        console.print(tables.table(f"{scenario.name}: {scenario.description}", outcomes))
        found.append((scenario.name, own, outcomes))
    if options.markdown is not None:
        text = tables.markdown([(name, outcomes) for name, _, outcomes in found])
        options.markdown.write_text(text, "utf-8")
    broken = [name for name, own, _ in found if any(one.broken for one in own)]
    if broken:
        console.print(f"scanpool breaks bounds of {', '.join(broken)}", style="red")
    return 1 if broken else 0


def _outcomes(
    worlds: Sequence[Scenario], controller: Controller, seeds: Sequence[int]
) -> list[Outcome]:
    """Play each world with each seed, and drop what was recorded by the second: it is large."""
    played = (cases.play(world, controller, seed) for world in worlds for seed in seeds)
    return [replace(one, result=replace(one.result, tracks=())) for one in played]
