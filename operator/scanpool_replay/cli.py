"""Replay load tests of the scan pipeline under several autoscalers.

Without a command: the calibration, the published load tests, and the comparison at VU 1000.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from scanpool_replay import cases_command, plan_command
from scanpool_replay.arguments import count
from scanpool_replay.published import ROWS
from scanpool_replay.report import documents
from scanpool_replay.report.summary import Summary, summarize
from scanpool_replay.scenario import Scenario, ScenarioError, load, shipped
from scanpool_replay.session import Session

# Of a table where the output is no terminal.
WIDTH = 240
# Panels of the README's picture, which has to fit into its first screen: replicas, tokens per
# minute, 429s. --html has all of them.
README_PANELS = (0, 2, 4)
# What is replayed besides the published load tests when no scenario is named.
STORY = ("vu-1000", "vu-1000-max-10", "vu-1000-long", "vu-1000-quota", "vu-1000-quota-canary")


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out a command. Exit code 1: a bound is broken; 2: what was given is not valid."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments = ["all", *arguments]
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
    except ScenarioError as error:
        print(f"scanpool-replay: {error}", file=sys.stderr)
        return 2
    return code


def _all(options: argparse.Namespace) -> int:
    names = [*(row.scenario for row in ROWS), *STORY]
    return _report([load(name) for name in names], options)


def _run(options: argparse.Namespace) -> int:
    return _report([load(name) for name in options.scenario], options)


def _calibrate(options: argparse.Namespace) -> int:
    """Run only the autoscaler that the published tests were made with: it comes first."""
    scenarios = [load(row.scenario) for row in ROWS]
    first = [one.model_copy(update={"controllers": one.controllers[:1]}) for one in scenarios]
    return _report(first, options)


def _list(_: argparse.Namespace) -> int:
    for name in shipped():
        print(f"{name}: {load(name).description}")
    return 0


def _report(scenarios: list[Scenario], options: argparse.Namespace) -> int:
    session = Session()
    seeds = list(range(options.seed, options.seed + options.repeat))
    found = summarize(session, scenarios, seeds)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    for table in found.tables:
        console.print(table)
        console.print()
    console.print(session.tally(), highlight=False)
    _write(options, found)
    if found.broken:
        console.print(f"{found.broken} bounds are broken", style="red")
    return 1 if found.broken else 0


def _write(options: argparse.Namespace, found: Summary) -> None:
    first = [one for one in found.results if one.seed == options.seed]
    if options.json is not None:
        options.json.write_text(documents.as_json(found.results, found.figures), "utf-8")
    if options.html is not None:
        options.html.write_text(documents.as_html(first, found.tables), "utf-8")
    if options.svg is not None:
        name = options.svg_of or first[-1].scenario
        picked = options.svg_only
        shown = [
            one
            for one in first
            if one.scenario == name and (not picked or one.controller in picked)
        ]
        if not shown:
            raise ScenarioError(f"--svg-of {name}: nothing that was run is called so")
        options.svg.write_text(documents.as_svg(shown, README_PANELS), "utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scanpool-replay", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    everything = commands.add_parser("all", help="what is done without a command")
    everything.set_defaults(run=_all)
    one = commands.add_parser("run", help="run scenarios: files, or names of those that come along")
    one.add_argument("scenario", nargs="+")
    one.set_defaults(run=_run)
    calibrate = commands.add_parser("calibrate", help="hold the model against the published tests")
    calibrate.set_defaults(run=_calibrate)
    for command in (everything, one, calibrate):
        command.add_argument("--seed", type=int, default=1, help="of the first run (1)")
        command.add_argument("--repeat", type=count, default=1, metavar="N", help="seeds to run")
        command.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
        command.add_argument("--html", type=Path, metavar="FILE", help="write tables and plots")
        command.add_argument("--svg", type=Path, metavar="FILE", help="write a picture")
        command.add_argument("--svg-of", metavar="SCENARIO", help="what it shows (the last one)")
        command.add_argument(
            "--svg-only", metavar="AUTOSCALER", action="append",
            help="and whom, as the table names it; may be repeated (all)",
        )  # fmt: skip

    listed = commands.add_parser("list", help="name the scenarios that come along")
    listed.set_defaults(run=_list)
    cases_command.register(commands)
    plan_command.register(commands)
    return parser
