"""The reproduction's commands, for a clone of the repository: python -m reproduction --help"""

import argparse
import sys
from pathlib import Path
from typing import Any

from cplab.errors import CplabError

EVERY = "the paper's exhibits, at any size; the ladders; and the shipped files"


def report(options: argparse.Namespace) -> None:
    from reproduction.report import write

    print(write(options.out))


def show(options: argparse.Namespace) -> None:
    from cplab.results import find
    from reproduction.recipes import EVERY, parts_of

    print(f"{'name':<24}{'there':>6}{'of':>6}")
    for name in options.name or EVERY:
        parts = parts_of(name, options.profile)
        results = {spec: find(spec, measure) for specs, measure in parts for spec in specs}
        trained = sum(map(bool, results.values()))
        print(f"{name:<24}{trained:>6}{len(results):>6}   {EVERY[name].words}", flush=True)


def train(options: argparse.Namespace) -> None:
    from cplab.results import sweep
    from reproduction.recipes import parts_of

    for name in options.name:
        for specs, measure in parts_of(name, options.profile):
            sweep(specs, measure, device=options.device)
        print(f"{name}: all of it is there")


def ship(options: argparse.Namespace) -> None:
    from reproduction.recipes import ship_recipe

    print(ship_recipe(options.name))


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m reproduction", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, action: Any, words: str) -> Any:
        command = commands.add_parser(name, help=words, description=words)
        command.set_defaults(action=action)
        return command.add_argument

    option = add("report", report, "Write REPRODUCTION.md, its pictures and the pages beside it.")
    option("--out", type=Path, default=Path("REPRODUCTION.md"), metavar="FILE")
    profile = {"default": "paper", "help": "size of the paper's exhibits [paper]"}
    option = add("list", show, f"How much is there of {EVERY}.")
    option("name", nargs="*")
    option("--profile", **profile)
    option = add("train", train, f"Train what is missing, and go on where it stopped: {EVERY}.")
    option("name", nargs="+")
    option("--profile", **profile)
    option("--device", default="auto", help="auto, cuda, mps or cpu [auto]")
    add("ship", ship, "Write the results of a recipe into its shipped file.")("name")
    return top


def main(args: list[str] | None = None) -> int:
    """Run a command. Returns the exit status; an error is one line on standard error."""
    options = parser().parse_args(args)
    try:
        options.action(options)
    except CplabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
