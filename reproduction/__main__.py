"""The reproduction's commands, for a clone of the repository: python -m reproduction --help"""

import argparse
import sys
from pathlib import Path

from cplab.base.errors import CplabError
from cplab.results import by_key, every_result, results_table, sweep
from cplab.results.duration import count_epochs
from reproduction import shipping
from reproduction.recipes import parts_of, recipe_names, ship_again
from reproduction.studies import load_for

COMMANDS = ("report", "pages", "list", "train", "ship", "merge", "verify", "retrain")
WORDS = """report: write REPRODUCTION.md, its pictures and rows.csv. pages: write the numbers of
README, findings.md, REPRODUCTION.md and lab 00b. list: how much there is of an
exhibit of the paper or of a shipped file, of all by default, and how many epochs the rest takes.
train NAME: train what is missing, or go on with it. ship NAME: add what was trained anew to its
file; ship NAME profile=course dataset=cifar10: add these results of yours to a file. merge PLACE:
copy results that were trained elsewhere, a file or a folder. verify: check every result. retrain
KEY: train a result again and compare; `other` is another machine's or torch's, `off` differs
without a reason."""


def run(command: str, words: list[str], profile: str, device: str) -> int:
    """Run a command, and print what came of it.

    Arguments:
        command: the command.
        words: names, places or keys.
        profile: of exhibits.
        device: to train on.

    Returns:
        the exit status, 1 if a result is damaged or off.
    """
    if command == "report":  # which needs matplotlib, as a machine that trains may not have it
        from reproduction import report

        print(report.write(Path("REPRODUCTION.md")))
    elif command == "pages":
        from reproduction import pages

        for page in dict.fromkeys(line["page"] for line in pages.read_pages()):
            pages.update(page)
    elif command == "list":
        for name in words or recipe_names():
            print(count_results(name, profile), flush=True)
    elif command == "train":
        for name in words:
            for part in parts_of(name, profile):
                load_for(part.specs)
                if missing := part.missing():
                    sweep(missing, part.measure, device=device, fresh=part.path)
            print(f"{name}: all of it is there")
    elif command == "ship":
        print(ship_words(words))
    elif command == "merge":
        merged = shipping.merge(words)
        print(*merged.refused, sep="\n", file=sys.stderr)
        print(f"{merged.new} results taken in, {merged.old} were there already")
        return 1 if merged.refused else 0
    elif command == "verify":
        counts, bad = shipping.verify()
        print(*bad, sep="\n", file=sys.stderr)
        print(f"{counts['shipped']} shipped and {counts['live']} live results are good")
        print(f"{counts['unknown']} live results are of another version or branch, {len(bad)} bad")
        return 1 if bad else 0
    else:
        outcomes = []
        for key in words:
            outcome, again = shipping.train_again(by_key(key), device)
            print(f"{outcome:<5} {again.spec.call()}", flush=True)
            outcomes.append(outcome)
        return 1 if "off" in outcomes else 0
    return 0


def ship_words(words: list[str]) -> str:
    """Ship again each file that is named; or ship the live runs with some fields, as in `course
    profile=course`, to one file.

    Returns:
        what was written, in lines.
    """
    fields = dict(word.split("=", 1) for word in words if "=" in word)
    names = [word for word in words if "=" not in word]
    if not fields:
        return "\n".join(ship_again(name) for name in names)
    keys = {*results_table(**fields)["key"]}
    live = [result for result in every_result("Run", "live") if result.key in keys]
    [name] = names
    return f"{shipping.ship(live, name)}: {len(live)} results"


def count_results(name: str, profile: str) -> str:
    """A line that says how many results of a recipe there are, and how many epochs are missing."""
    count = 0
    missing = []
    for part in parts_of(name, profile):
        count += len(part.specs)
        missing += part.missing()
    line = f"{name:<24}{count - len(missing):>6} of {count}"
    if missing:
        line += f", {count_epochs(missing):,} epochs to train"
    return line


def main(args: list[str] | None = None) -> int:
    """Run a command. Returns the exit status; an error is one line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m reproduction", description=WORDS)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("words", nargs="*", metavar="word")
    parser.add_argument("--profile", default="paper", help="size of the paper's exhibits [paper]")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu [auto]")
    try:
        return run(**vars(parser.parse_args(args)))
    except CplabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
