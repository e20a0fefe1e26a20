"""The reproduction's commands, for a clone of the repository: python -m reproduction --help"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cplab.errors import CplabError, one_of

PAPER = "the paper's exhibits, at any size"
SETS = "ladders between our size and the paper's, and the shipped files"


def report(given: argparse.Namespace) -> None:
    from reproduction.report import write

    print(write(given.out))


def parts(name: str, profile: str) -> Iterator[tuple[list, Any]]:
    """The specs of an exhibit, a ladder or a shipped file, in order of value, with what is measured
    on them. Raises: CplabError for an unknown name."""
    from reproduction import campaign, ladders, recipes

    if name in campaign.EXHIBITS:
        exhibit = campaign.EXHIBITS[name]
        for seed in range(campaign.SEEDS):
            yield exhibit.of(profile, seed), exhibit.measure
    elif name in ladders.LADDERS:
        yield from ladders.LADDERS[name].parts()
    else:
        every = [*campaign.EXHIBITS, *ladders.LADDERS, *recipes.RECIPES]
        yield from recipes.RECIPES[one_of("name", name, every)].parts()


def show(given: argparse.Namespace) -> None:
    from cplab.results import find
    from reproduction import campaign, ladders, recipes

    every: dict[str, Any] = {**campaign.EXHIBITS, **ladders.LADDERS, **recipes.RECIPES}
    print(f"{'name':<24}{'there':>6}{'of':>6}")
    for name in given.name or every:
        there = {spec: find(spec, m) for some, m in parts(name, given.profile) for spec in some}
        known = sum(map(bool, there.values()))
        print(f"{name:<24}{known:>6}{len(there):>6}   {every[name].words}", flush=True)


def train(given: argparse.Namespace) -> None:
    from cplab.results import sweep

    for name in given.name:
        for specs, measure in parts(name, given.profile):
            sweep(specs, measure, device=given.device)
        print(f"{name}: all of it is there")


def ship(given: argparse.Namespace) -> None:
    from reproduction import recipes

    print(recipes.ship_recipe(given.name))


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m reproduction", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, action: Any, words: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=words, description=words)
        one.set_defaults(action=action)
        return one

    one = add("report", report, "Write REPRODUCTION.md, its pictures and the pages beside it.")
    one.add_argument("--out", type=Path, default=Path("REPRODUCTION.md"), metavar="FILE")
    names = f"{PAPER}; {SETS}"
    one = add("list", show, f"How much is there of {names}.")
    one.add_argument("name", nargs="*")
    one.add_argument("--profile", default="paper", help="size of the paper's exhibits [paper]")
    one = add("train", train, f"Train what is missing, and go on where it stopped: {names}.")
    one.add_argument("name", nargs="+")
    one.add_argument("--profile", default="paper", help="size of the paper's exhibits [paper]")
    one.add_argument("--device", default="auto", help="auto, cuda, mps or cpu [auto]")
    one = add("ship", ship, "Write the results of a recipe into its shipped file.")
    one.add_argument("name")
    return top


def main(args: list[str] | None = None) -> int:
    """Run a command. Returns the exit status; what is wrong is one line on standard error."""
    given = parser().parse_args(args)
    try:
        given.action(given)
    except CplabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
