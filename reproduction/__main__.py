"""The reproduction's commands, for a clone of the repository: python -m reproduction --help"""

import argparse
import sys
from pathlib import Path

from cplab.checks import CplabError


def report(given: argparse.Namespace) -> None:
    from reproduction.report import write

    print(write(given.out))


def campaign_list(given: argparse.Namespace) -> None:
    from cplab.engine.lives import plan
    from reproduction import campaign

    chosen = campaign.choose(given.exhibit)
    print(f"{'exhibit':<24}{'specs':>6}{'epochs':>8}   of each of {campaign.SEEDS} seeds")
    for exhibit in chosen:
        specs = exhibit.of(given.profile, 0)
        epochs = sum(root.epochs for root in plan(specs))
        print(f"{exhibit.name:<24}{len(specs):>6}{epochs:>8}   {exhibit.words}")
        if given.exhibit:
            print(*(f"    {spec.call()}" for spec in specs if hasattr(spec, "call")), sep="\n")


def campaign_next(given: argparse.Namespace) -> None:
    from reproduction import campaign

    campaign.work(
        given.budget,
        profile=given.profile,
        exhibits=given.exhibit,
        part=given.part,
        parts=given.parts,
        device=given.device,
    )


def campaign_status(given: argparse.Namespace) -> None:
    from reproduction import campaign

    total = 0.0
    print(f"{'exhibit':<24}{'done':>6}{'missing':>9}  time left")
    for row in campaign.status(given.profile, given.exhibit, given.device):
        total += row.seconds or 0
        counts = f"{row.done:>6}{row.missing:>9}"
        print(f"{row.exhibit.name:<24}{counts}  {campaign.duration(row.seconds)}", flush=True)
    print(f"{campaign.duration(total)} in all, where it is known")


def recipes_list(given: argparse.Namespace) -> None:
    from cplab.results import find
    from reproduction import recipes

    print(f"{'recipe':<22}{'specs':>6}{'there':>7}")
    for recipe in recipes.RECIPES.values():
        specs = recipes.owned(recipe.name)
        there = sum(find(spec, measure) is not None for spec, measure in specs.items())
        print(f"{recipe.name:<22}{len(specs):>6}{there:>7}   {recipe.words}")


def recipes_compute(given: argparse.Namespace) -> None:
    from reproduction import recipes

    print(f"{len(recipes.compute(given.name, device=given.device))} results of {given.name}")


def recipes_ship(given: argparse.Namespace) -> None:
    from reproduction import recipes

    print(recipes.ship_recipe(given.name))


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m reproduction", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(group, name: str, action, words: str) -> argparse.ArgumentParser:
        one = group.add_parser(name, help=words, description=words)
        one.set_defaults(action=action)
        return one

    one = add(commands, "report", report, "Write REPRODUCTION.md and its pictures.")
    one.add_argument("--out", type=Path, default=Path("REPRODUCTION.md"), metavar="FILE")

    group = commands.add_parser("campaign", help="All runs behind the paper's figures.")
    group = group.add_subparsers(required=True, metavar="COMMAND")
    for name, action, words in (
        ("list", campaign_list, "The exhibits; with --exhibit their runs."),
        ("next", campaign_next, "Train what is missing until the time is up."),
        ("status", campaign_status, "What is done and missing, and the time left."),
    ):
        one = add(group, name, action, words)
        one.add_argument("--profile", default="paper", help="size [paper]")
        one.add_argument("--exhibit", nargs="+", metavar="NAME", help="only these [all]")
        one.add_argument("--device", default="auto", help="auto, cuda, mps or cpu [auto]")
        if name == "next":
            one.add_argument("--budget", type=int, required=True, metavar="SECONDS")
            one.add_argument("--part", type=int, default=0, metavar="N", help="0 to PARTS - 1 [0]")
            one.add_argument("--parts", type=int, default=1, help="machines side by side [1]")

    group = commands.add_parser("recipes", help="How everything that is shipped was asked for.")
    group = group.add_subparsers(required=True, metavar="COMMAND")
    add(group, "list", recipes_list, "The recipes, and how many of their results are there.")
    for name, action, words in (
        ("compute", recipes_compute, "Train what is missing of a recipe."),
        ("ship", recipes_ship, "Write the results of a recipe into its shipped file."),
    ):
        one = add(group, name, action, words)
        one.add_argument("name")
        if name == "compute":
            one.add_argument("--device", default="auto", help="auto, cuda, mps or cpu [auto]")
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
