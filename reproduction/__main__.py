"""The reproduction's commands, for a clone of the repository: python -m reproduction --help"""

import argparse
import sys
from pathlib import Path

from cplab.errors import CplabError
from cplab.results import find, sweep
from cplab.results.duration import count_epochs
from reproduction.recipes import parts_of, recipe_names, ship_again

WORDS = """report: write REPRODUCTION.md, its pictures and rows.csv. list: how much there is of an
exhibit of the paper or of a shipped file, of all by default, and how many epochs the rest takes.
train: train what is missing, or go on with it. ship: add what was trained anew to its file."""


def run(command: str, names: list[str], profile: str, device: str) -> None:
    """Run a command for recipes of these names, and print what came of it."""
    if command == "report":  # which needs Bokeh, as a machine that trains may not have it
        from reproduction import report

        print(report.write(Path("REPRODUCTION.md")))
    elif command == "list":
        for name in names or recipe_names():
            print(count_results(name, profile), flush=True)
    elif command == "train":
        for name in names:
            for part in parts_of(name, profile):
                sweep(part.specs, part.measure, device=device)
            print(f"{name}: all of it is there")
    else:
        for name in names:
            print(ship_again(name))


def count_results(name: str, profile: str) -> str:
    """A line that says how many results of a recipe there are, and how many epochs are missing."""
    count = 0
    missing = []
    for part in parts_of(name, profile):
        count += len(part.specs)
        missing += [spec for spec in part.specs if not find(spec, part.measure)]
    line = f"{name:<24}{count - len(missing):>6} of {count}"
    if missing:
        line += f", {count_epochs(missing):,} epochs to train"
    return line


def main(args: list[str] | None = None) -> int:
    """Run a command. Returns the exit status; an error is one line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m reproduction", description=WORDS)
    parser.add_argument("command", choices=("report", "list", "train", "ship"))
    parser.add_argument("names", nargs="*", metavar="name")
    parser.add_argument("--profile", default="paper", help="size of the paper's exhibits [paper]")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu [auto]")
    try:
        run(**vars(parser.parse_args(args)))
    except CplabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
