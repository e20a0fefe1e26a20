"""The reproduction's commands, for a clone of the repository: python -m reproduction --help"""

import argparse
import sys
from pathlib import Path

from cplab.errors import CplabError, one_of


def report(given: argparse.Namespace) -> None:
    from reproduction.report import write

    print(write(given.out))


def campaign_list(given: argparse.Namespace) -> None:
    from cplab.engine.tree import plan
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

    how = {"profile": given.profile, "exhibits": given.exhibit, "device": given.device}
    campaign.work(given.budget, cluster=given.cluster, **how)


def campaign_status(given: argparse.Namespace) -> None:
    from reproduction import campaign

    total, machines = 0.0, {}
    print(f"{'exhibit':<24}{'done':>6}{'missing':>9}  time left")
    for row in campaign.status(given.profile, given.exhibit):
        total += row.seconds or 0
        machines |= dict.fromkeys(filter(None, [row.machine]))
        counts = f"{row.done:>6}{row.missing:>9}"
        print(f"{row.exhibit.name:<24}{counts}  {campaign.duration(row.seconds)}", flush=True)
    if machines:
        print(f"{campaign.duration(total)} in all, one after another on {', '.join(machines)}")
    else:
        print("no life of these sizes was measured: `campaign cost` says what they cost on paper")


def campaign_cost(given: argparse.Namespace) -> None:
    from reproduction import cost

    print(*cost.tables(given.profile, given.exhibit), sep="\n")


def ladder(given: argparse.Namespace) -> None:
    from reproduction import campaign, cost, ladders, pages

    for letter in given.letter:
        one_of("ladder", letter, ladders.LADDERS)
    if given.table:
        for letter in given.letter or ladders.LADDERS:
            print(*pages.ladder_tables(letter), sep="\n")
    elif given.letter:
        for letter in given.letter:
            many = ladders.train(letter, device=given.device, client=given.cluster)
            print(f"{many} results of ladder {letter}")
    else:
        print(f"{'ladder':<8}{'there':>6}{'missing':>9}{'epochs':>8}  left, one after another")
        for letter, one in ladders.LADDERS.items():
            lacking, total = ladders.missing(one), len(one.specs())
            counts = f"{total - len(lacking):>6}{len(lacking):>9}{cost.cost(lacking).epochs:>8}"
            seconds, measured = cost.seconds(lacking)
            about = ("" if measured else "about ") + campaign.duration(seconds)
            print(f"{letter:<8}{counts}  {about:<24}{one.words}", flush=True)
        print("`about`: by operations, where no life of that size was timed")


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


def address(given: argparse.Namespace) -> None:
    from reproduction import address as one

    wanted = {"": one.known(), "none": None}.get(given.address, given.address)
    changed = one.write(wanted)
    print(f"{wanted or 'no address'}: {len(changed)} files changed")


def add_where(one: argparse.ArgumentParser) -> None:
    """Options that say where something is trained."""
    one.add_argument("--device", default="auto", help="auto, cuda, mps or cpu [auto]")
    one.add_argument("--cluster", metavar="ADDRESS", help="of a Dask scheduler [none]")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m reproduction", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(group, name: str, action, words: str) -> argparse.ArgumentParser:
        one = group.add_parser(name, help=words, description=words)
        one.set_defaults(action=action)
        return one

    one = add(commands, "report", report, "Write REPRODUCTION.md and its pictures.")
    one.add_argument("--out", type=Path, default=Path("REPRODUCTION.md"), metavar="FILE")

    one = add(commands, "address", address, "Write where the repository lives wherever it is said.")
    one.add_argument("address", nargs="?", default="", help="or none [what pyproject.toml says]")

    group = commands.add_parser("campaign", help="All runs behind the paper's figures.")
    group = group.add_subparsers(required=True, metavar="COMMAND")
    for name, action, words in (
        ("list", campaign_list, "The exhibits; with --exhibit their runs."),
        ("next", campaign_next, "Train what is missing until the time is up."),
        ("status", campaign_status, "What is done and missing, and the time left."),
        ("cost", campaign_cost, "Epochs, operations and GPU-hours, on paper."),
    ):
        one = add(group, name, action, words)
        one.add_argument("--profile", default="paper", help="size [paper]")
        one.add_argument("--exhibit", nargs="+", metavar="NAME", help="only these [all]")
        if name == "next":
            one.add_argument("--budget", type=int, required=True, metavar="SECONDS")
            add_where(one)

    one = add(commands, "ladder", ladder, "Train a ladder and go on; without a letter, how far.")
    one.add_argument("letter", nargs="*", metavar="LETTER", help="A to G, see forecasts.md")
    one.add_argument("--table", action="store_true", help="show what there is of it instead")
    add_where(one)

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
