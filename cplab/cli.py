"""The command line. Its options are the fields of a spec, and every value is passed to the spec as
it was typed: Python and the command line refuse the same values in the same words.

Exit codes: 0; 1, a result is bad or training failed; 2, bad input; 130, interrupted.
"""

import difflib
import inspect
import json
import os
import re
import sys
import warnings
from argparse import SUPPRESS, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from importlib.util import find_spec
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, NoReturn, get_args

from cplab import __version__, results, runs, specs, teach
from cplab.errors import CplabError, installed, named_folder, one_of, quote, require, whole
from cplab.measure import parse_measures
from cplab.profiles import PROFILES

GROUPS = {
    "results": "What was trained: list, export, check, train again and ship it.",
    "data": "Sets of images: say what is at hand, fetch the others.",
    "teach": "For teachers: copies of the labs.",
}
MOST_POINTS = 100_000  # points of a sweep
METAVARS = {int: "N", float: "X", bool: "YES|NO"}  # of fields, by their types


def folder_named(text: str) -> Path:
    require(text, "DIR '' is not allowed: name a folder, or . for the one that you are in")
    return Path(text)


OPTIONS: dict[str, dict[str, Any]] = {
    "--fresh": {"action": "store_true", "help": "Train it even if there is a result."},
    "--controls": {"action": "store_true", "help": "Also equal training and the newborn."},
    "--json": {"action": "store_true", "help": "Print JSON, one object a line."},
    "--measure": {"nargs": "+", "default": (), "help": "Also trace, ending, or trace=0,4. [none]"},
    "--workers": {"help": "Processes. [one a core; one on a GPU]"},
    "--device": {"default": "auto", "help": f"{', '.join(runs.DEVICES)}. [auto]"},
    "--retrain": {"default": "0", "help": "Train so many again. [0]"},
    "--seed": {"default": "0", "help": "Decides which ones are trained again. [0]"},
    "--profile": {"help": "Train only runs of this profile again. [any]"},
    "FILE": {"help": "A .csv or .parquet file."},
    "KEY": {"nargs": "+", "help": "Keys of results."},
    "KIND": {"nargs": "?", "default": "Run", "help": "A class of specs. [Run]"},
    "NAME": {"help": "The file is cplab/shipped/NAME.parquet."},
    "PATH": {"nargs": "+", "help": "Files, or directories of them."},
    "DATASET": {"help": "The set, such as cifar10."},
    "--copy": {"action": "store_true", "help": "Only copy the labs to ./cplab-labs."},
    "--no-browser": {"action": "store_true", "help": "Print the address and open no browser."},
    "LAB": {"nargs": "?", "default": "", "help": "A lab, or how its name begins."},
    "DIR": {"type": folder_named, "help": "A folder, which is made."},
    "--student": {"action": "store_true", "help": "Without solutions."},
    "--instructor": {"action": "store_true", "help": "With solutions as tagged cells."},
}
COMMANDS: dict[str, tuple[Callable[[Namespace], int | None], str]] = {}


class Parser(ArgumentParser):
    """Says in one line what it cannot read, and what may have been meant."""

    def __init__(self, prog: str, **more: Any) -> None:
        more |= {"formatter_class": RawDescriptionHelpFormatter, "allow_abbrev": False}
        super().__init__(prog, **more)
        self.set_defaults(command=lambda o: self.print_help(), parser=self)

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"unrecognized arguments: (--[\w-]+)", message)
        near = difflib.get_close_matches(wrong[1], self._option_string_actions) if wrong else []
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise CplabError(f"{message}{hint}: see {self.prog} --help")


def command(words: str, options: str = "") -> Callable[[Callable], Callable]:
    """Make a function a command, its docstring the help.

    Arguments: options, names in OPTIONS, and `fields` (of a spec), `lists` (the same with several
        values each) or `filters` (the fields of a run).
    """

    def add(function: Callable[[Namespace], int | None]) -> Callable:
        COMMANDS[words] = function, options
        return function

    return add


def parser(like: Any) -> Parser:
    """The parser of all commands; those that train have the fields of one class of specs."""
    top = Parser("cplab", description="Critical learning periods in deep networks.")
    top.add_argument("--version", action="version", version=f"cplab {__version__}")
    groups = {"": top.add_subparsers(metavar="COMMAND")}
    for name, about in GROUPS.items():
        group = groups[""].add_parser(name, help=about, description=about)
        groups[name] = group.add_subparsers(metavar="COMMAND")
    for words, (function, options) in COMMANDS.items():
        text, (place, _, name) = inspect.getdoc(function) or "", words.rpartition(" ")
        sub = groups[place].add_parser(name, help=text.partition("\n")[0], description=text)
        sub.set_defaults(command=function, like=like, parser=sub)
        for one in options.split():
            if one in OPTIONS:
                sub.add_argument(one, **OPTIONS[one])
            else:
                add_fields(sub, runs.Run if one == "filters" else like, one == "lists")
    return top


def add_fields(sub: ArgumentParser, like: Any, several: bool) -> None:
    """An option for each field of a spec, with the words of its docstring, the names that it takes
    and its default; several: each takes several values."""
    listed = re.findall(r"^    ([\w, ]+): (.+(?:\n {8}.+)*)", inspect.getdoc(like) or "", re.M)
    words = {name: " ".join(text.split()) for names, text in listed for name in names.split(", ")}
    for field in fields(like):
        kinds, names = {field.type, *get_args(field.type)}, field.metadata.get("names", ())
        usual = "yes" if field.default is True else field.default
        plain = f"[{usual}]" if isinstance(usual, int | float | str) else ""
        text = " ".join([words.get(field.name, ""), ", ".join(names), plain])
        sub.add_argument(
            f"--{field.name.replace('_', '-')}",
            dest=field.name,
            default=SUPPRESS,
            nargs="+" if several else None,
            metavar=next((METAVARS[kind] for kind in METAVARS if kind in kinds), "NAME"),
            help=text.replace("%", "%%"),
        )


def typed_fields(o: Namespace) -> dict[str, Any]:
    """The fields of a spec that were typed; the spec knows what holds for the others."""
    return {f.name: getattr(o, f.name) for f in fields(o.like) if hasattr(o, f.name)}


def spec_of(word: str) -> Any:
    """The class of specs of this name, or the spec of the result of this key."""
    if re.fullmatch("[0-9a-f]{16}", word):
        return results.by_key(word).spec
    return specs.kinds()[one_of("key or kind of result", word, specs.kinds())]


def measures(o: Namespace) -> dict[str, Any]:
    """{"trace": (0, 4), "ending": "end"} out of `trace=0,4 ending`."""
    found: dict[str, Any] = {}
    for name, equals, when in (word.partition("=") for word in o.measure):
        times = when.split(",") if when[:1].isdigit() else when
        found |= parse_measures({name: times} if equals else name)
    return found


def parse_words(words: Sequence[str]) -> Namespace:
    """What some words after `cplab` mean: a function, `command`, and what it wants to know.

    Raises: CplabError; SystemExit where argparse has printed its help or the version.
    """
    words, like = list(words), runs.Run
    if words[:1] in (["run"], ["sweep"]) and words[1:] and words[1][:1] != "-":
        like = spec_of(words.pop(1))
    known, unknown = parser(like).parse_known_args(words)
    if unknown:
        known.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return known


def main(args: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. An error is one line on standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_: log_line("warning", message)
        try:
            given = parse_words(sys.argv[1:] if args is None else args)
            with installed():
                return given.command(given) or 0
        except KeyboardInterrupt:
            log_line("stopped", "the same command goes on from here")
            return 130
        except CplabError as error:
            log_line("error", error)
            return error.exit_code
        except BrokenPipeError:  # who reads along, such as `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except SystemExit as done:
            return int(done.code or 0)


def log_line(what: str, text: object) -> None:
    """One line on standard error, above a progress bar that may be there."""
    from tqdm import tqdm

    line = f"{what}: {' '.join(str(text).split())}"
    tqdm.write(line.encode(errors="backslashreplace").decode(), file=sys.stderr)


@command("run", "fields --measure --fresh --device --json")
def run_one(o: Namespace) -> None:
    """Look up one run, or train it and keep its result.

    cplab run --deficit blur --length 8 --recovery 15 --seed 0 --json

    A word after `run` asks for another kind of result, whose fields are then the options, or is
    the key of a result, of which the options change some fields:
    cplab run Search --gamma 0.016 --seed 1
    cplab run 10da86ce08101b40 --measure trace
    """
    spec = altered(o.like, typed_fields(o))
    cached = not o.fresh and bool(results.find(spec, measures(o)))
    [result] = results.sweep([spec], measures(o), fresh=o.fresh, device=o.device)
    if o.json:
        print(as_json(result, cached))
        return
    origin = result.source if cached else f"trained in {result.seconds:.1f} s,"
    print(f"{numbers_of(result)} ({origin} result {result.key})\n{result.spec.call()}")
    for name, found in result.measured.items():
        print(f"{name} measured after {len(found)} epochs")
    for name, source in result.own.items():
        print(f"\n# {name}\n{source}")


@command("sweep", "lists --controls --measure --workers --device --json")
def run_many(o: Namespace) -> None:
    """Train every combination of several values that has no result yet.

    Common beginnings are trained once. Ctrl-C stops; the same command goes on. A word after `sweep`
    is taken as after `run`.

    cplab sweep --deficit blur --onset 0 2 4 --length 0 4 8 --seed 0 1 2
    """
    given = typed_fields(o)
    count, points = prod(map(len, given.values())), product(*given.values())
    few = count <= MOST_POINTS
    require(few, f"a sweep of {count} points is not allowed: give at most {MOST_POINTS} at a time")
    wanted = [altered(o.like, dict(zip(given, point, strict=True))) for point in points]
    if o.controls and not isinstance(wanted[0], runs.Run):
        raise CplabError(f"--controls is not allowed with {type(wanted[0]).__name__}: leave it out")
    if o.controls:
        wanted += [control for s in wanted for control in (s.equal_training(), s.newborn())]
    wanted = list(dict.fromkeys(wanted))
    cached = {spec for spec in wanted if results.find(spec, measures(o))}
    how = {"device": o.device, "workers": o.workers}
    found = results.sweep(wanted, measures(o), **how)
    if o.json:
        print(*(as_json(result, result.spec in cached) for result in found), sep="\n")
    elif all(isinstance(result.values.get("accuracy"), float) for result in found):
        print_means(found, given)
    else:
        print(*map(line_of, found), sep="\n")


def print_means(found: list, names: Iterable[str]) -> None:
    """Accuracies over the seeds, a line for each point; names: fields that have a column."""
    import pandas as pd

    values = {f.name: [getattr(r.spec, f.name) for r in found] for f in fields(found[0].spec)}
    shown = [n for n, each in values.items() if n != "seed" and (n in names or len({*each}) > 1)]
    rows = pd.DataFrame({name: values[name] for name in shown or ["seed"]})
    rows["accuracy"] = [result.accuracy for result in found]
    alike = rows.groupby([*rows][:-1], sort=False, dropna=False)["accuracy"]
    points = alike.agg(["count", "mean", "std"])
    print(points.reset_index().to_string(index=False, float_format="{:.4f}".format, na_rep="-"))


def line_of(result: Any) -> str:
    return f"{result.key} {result.source} {numbers_of(result)}  {result.spec.call()}"


def as_json(result: Any, cached: bool) -> str:
    return json.dumps({"cached": cached, **result.plain(), "source": result.source})


def numbers_of(result: Any) -> str:
    found = {k: v for k, v in result.values.items() if isinstance(v, int | float)}
    return ", ".join(f"{name} {value:.4f}" for name, value in found.items())


def check_filters(o: Namespace) -> None:
    fits = o.KIND == "Run" or not typed_fields(o)
    require(fits, f"filters are of runs: leave them out with {o.KIND}")


@command("results list", "KIND filters")
def list_results(o: Namespace) -> None:
    """List what was trained, shipped and live.

    cplab results list --profile course --deficit blur
    """
    check_filters(o)
    if o.KIND != "Run":
        print(*map(line_of, results.every_result(o.KIND)), sep="\n")
        return
    rows = results.table(**typed_fields(o))
    usual = {f.name for f in fields(runs.Run) if all(v == f.default for v in rows[f.name])}
    names = [f.name for f in fields(runs.Run) if f.name not in usual - {*typed_fields(o)}]
    rows = rows[["key", *names, "accuracy", "source"]]
    print("no results" if rows.empty else rows.to_string(index=False))


@command("results export", "FILE filters")
def export_results(o: Namespace) -> None:
    """Write a table of the runs: fields, accuracy, how each was trained.

    cplab results export blur.csv --deficit blur
    """
    suffix = one_of("kind of file", Path(o.FILE).suffix, (".csv", ".parquet"))
    rows = results.table(**typed_fields(o))
    rows[["windows", "treatments"]] = rows[["windows", "treatments"]].astype(str)  # names, numbers
    try:
        rows.to_csv(o.FILE, index=False) if suffix == ".csv" else rows.to_parquet(o.FILE)
    except (OSError, ValueError) as error:
        raise CplabError(f"{o.FILE} cannot be written ({error}): name another file") from error
    print(f"{len(rows)} results in {o.FILE}")


@command("results verify", "--retrain --seed --profile --device")
def verify_results(o: Namespace) -> int:
    """Read every result again (checksum, key, values), and train some shipped runs again.

    Exit code 1 if one is damaged or comes out otherwise than it says.

    cplab results verify --retrain 2 --profile ci
    """
    count, chance = whole("retrain", o.retrain), whole("seed", o.seed)
    one_of("device", o.device.partition(":")[0], runs.DEVICES)
    one_of("profile", o.profile or "ci", PROFILES)
    good, bad = results.verify()
    counts = f"{good['shipped']} shipped and {good['live']} live results are good"
    print(*bad, counts, sep="\n")
    off = train_again(results.sample_runs(count, chance, o.profile) if count else [], o.device)
    print(f"{len(bad) + off} bad")
    return 1 if bad or off else 0


@command("results retrain", "KEY --device")
def retrain_results(o: Namespace) -> int:
    """Train what these keys name again and compare; nothing is kept. What they keep of somebody's
    own functions is run for that.

    `equal`: every number is, bit by bit; `near`: it was another machine, and the difference is
    small; `off`: neither. Exit code 1 if one is off.

    cplab results retrain 10da86ce08101b40
    """
    return 1 if train_again([results.by_key(key) for key in o.KEY], o.device) else 0


def altered(like: Any, values: dict[str, Any]) -> Any:
    """A spec of a class, or one that differs from another in these values."""
    return like(**values) if isinstance(like, type) else replace(like, **values)


def train_again(found: Iterable[Any], device: str) -> int:
    """Train results again, print how each came out, and count those that are off."""
    off = 0
    for result in found:
        outcome, again = results.retrain(result, device)
        numbers = f"{numbers_of(result)} | {numbers_of(again)}"
        print(f"{outcome:<5} {numbers}  {result.spec.call()}", flush=True)
        off += outcome == "off"
    return off


@command("results ship", "NAME KIND filters")
def ship_results(o: Namespace) -> None:
    """Add live results to those that ship with the package; for maintainers.

    cplab results ship course --profile course --dataset cifar10
    """
    check_filters(o)
    keys = {*results.table(**typed_fields(o))["key"]}
    found = [r for r in results.every_result(o.KIND, "live") if o.KIND != "Run" or r.key in keys]
    print(results.ship(found, o.NAME))


@command("results merge", "PATH")
def merge_results(o: Namespace) -> int:
    """Take in results that were trained elsewhere; what is there already stays.

    Exit code 2 if one is damaged or outdated; the others are taken in.

    cplab results merge carried
    """
    new, old, refused = results.merge(o.PATH)
    for one in refused:
        log_line("refused", one)
    print(f"{new} results taken in, {old} were there already, {len(refused)} refused")
    return 2 if refused else 0


@command("data list")
def list_data(o: Namespace) -> None:
    """Say which sets are at hand, and where.

    cplab data list
    """
    from cplab import data

    for name in runs.DATASETS:
        absent = "made on the spot" if name == "practice" else f"absent: cplab data fetch {name}"
        print(f"{name:<14} {data.location(name) or absent}")


@command("data fetch", "DATASET")
def fetch_data(o: Namespace) -> None:
    """Download a set of images into the cache.

    cplab data fetch cifar10
    """
    from cplab import data

    print(data.fetch(o.DATASET))


@command("site", "DIR LAB")
def write_site(o: Namespace) -> None:
    """Write the labs as pages that need no Python and no network.

    Every widget is run over all its states, which takes minutes. A word after the folder writes the
    labs alone whose names begin so, or `explorer`.

    cplab site pages
    """
    from cplab.site import build_site

    try:
        pages = build_site(o.DIR, o.LAB)
    except OSError as error:
        raise CplabError(f"{o.DIR} cannot be written ({error}): name another folder") from error
    print(f"{len(pages)} pages: open {pages[0].parent / 'index.html'}")


@command("teach build", "DIR --student --instructor")
def build_copies(o: Namespace) -> None:
    """Write the labs without solutions, or with each as a cell that graders read.

    cplab teach build homework --student
    """
    require(o.student != o.instructor, "give one of --student and --instructor")
    new, old = teach.build_all(o.DIR, solutions=o.instructor)
    print(f"{new} files written to {o.DIR}, {old} were there already")


@command("lab", "LAB --copy --no-browser")
def open_lab(o: Namespace) -> None:
    """Open JupyterLab on a lab, the first one if none is named.

    In a clone of the repository these are its own; elsewhere they are copied to ./cplab-labs first,
    and a file that is there already stays as it is.

    cplab lab 02
    """
    home = teach.CLONE if teach.CLONE.is_dir() and not o.copy else Path("cplab-labs").absolute()
    labs = sorted(path.name for path in teach.labs())
    fitting = [file for file in labs if file.startswith(o.LAB)]
    if not fitting:
        raise CplabError(f"no lab {quote(o.LAB)}: choose one of {', '.join(labs)}")
    if not o.copy and not find_spec("jupyterlab"):
        raise CplabError("JupyterLab is not installed: pip install 'cplab[lab]'")
    if home != teach.CLONE:
        new, old = teach.copy_labs(home)
        print(f"{new} files copied to {home}, {old} were there already")
    if o.copy:
        return
    start = f"--LabApp.default_url=/lab/tree/{home.name}/{fitting[0]}"
    words = [sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", start]
    if o.no_browser:
        words.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.append("--allow-root")  # as in the Makefile: a container's user is mostly root
    for variable in ("CPLAB_CACHE", "CPLAB_DATA"):  # which may be told from here
        if given := named_folder(variable):
            os.environ[variable] = str(given.absolute())
    os.chdir(home.parent)
    sys.stdout.flush()
    os.execv(words[0], words)
