"""The command line. The fields of a run are options, `--length 8`, or words, `length=8`, and every
value is passed on as typed, so that Python and the command line refuse the same values in the same
words.

Exit codes: 0; 1, a result is bad or training failed; 2, bad input; 130, interrupted.
"""

import argparse
import difflib
import inspect
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any, NoReturn

from cplab import __version__, results, runs, teach
from cplab.errors import CplabError, installed, whole

Options = argparse.Namespace
NAMES = [field.name for field in fields(runs.Run)]


class Parser(argparse.ArgumentParser):
    """A parser that raises what is wrong as a CplabError, with the option that was meant."""

    def error(self, message: str) -> NoReturn:
        *_, typed = re.findall(r"--[\w-]+|\w+(?==)", message) or [""]
        known = [*NAMES, *ARGUMENTS, *map("--{}".format, NAMES)]
        close = difflib.get_close_matches(typed, known, 1)
        hint = f" (did you mean {close[0]}?)" if close and close[0] != typed else ""
        how = f"write --deficit blur or deficit=blur; `{self.prog} --help` says what there is"
        raise CplabError(f"{message}{hint}: {how}")


def typed_fields(options: Options) -> dict[str, Any]:
    """The fields of a run that were typed: texts, or lists of them for a sweep."""
    return {name: v for name in NAMES if (v := getattr(options, name)) is not None}


def read_measures(words: Iterable[str]) -> dict[str, Any]:
    """Read words after --measure: `trace=0,4 ending` is {"trace": ["0", "4"], "ending": None}."""
    pairs = (word.partition("=")[::2] for word in words)
    return {name: when.split(",") if when[:1].isdigit() else when or None for name, when in pairs}


# Training -----------------------------------------------------------------------------------------


def train_run(options: Options) -> None:
    """Look up one run, or train it and keep its result.

    cplab run --deficit blur --length 8 --recovery 15 --seed 0 --json
    """
    train([runs.Run(**typed_fields(options))], options)


def train_sweep(options: Options) -> None:
    """Train every combination of several values that has no result yet.

    Common beginnings are trained once. Ctrl-C stops; the same command goes on.

    cplab sweep --deficit blur --onset 0 2 4 --length 0 4 8 --seed 0 1 2
    cplab sweep deficit=blur onset=0,2,4 length=0,4,8 seed=0,1,2
    """
    values: Any = {name: ",".join(v).split(",") for name, v in typed_fields(options).items()}
    points: Iterable[Any] = product(*values.values())
    wanted = [runs.Run(**dict(zip(values, point, strict=True))) for point in points]
    if options.controls:
        wanted += [control for run in wanted for control in (run.equal_training(), run.newborn())]
    train([*dict.fromkeys(wanted)], options)


def train(wanted: list[runs.Run], options: Options) -> None:
    """Print the result of each run, and train those that have none."""
    measures = read_measures(options.measure)
    cached = {run for run in wanted if not options.fresh and results.find(run, measures)}
    workers = None if options.workers is None else whole("workers", options.workers, 1)
    how: dict[str, Any] = {"fresh": options.fresh, "device": options.device, "workers": workers}
    for result in results.sweep(wanted, measures, **how):
        found = result.spec in cached
        if options.json:
            print(json.dumps({"cached": found, **result.plain(), "source": result.source}))
        else:
            origin = result.source if found else f"trained in {result.seconds:.1f} s"
            print(f"{numbers_of(result)}  {result.key}  {result.spec.call()}  ({origin})")


def numbers_of(result: Any) -> str:
    """Write the numbers among a result's values: `accuracy 0.5712`."""
    numbers = {k: v for k, v in result.values.items() if isinstance(v, int | float)}
    return ", ".join(f"{name} {value:.4f}" for name, value in numbers.items())


# Results ------------------------------------------------------------------------------------------


def list_results(options: Options) -> None:
    """List what was trained, shipped and live.

    cplab results list --profile course --deficit blur
    """
    wanted = typed_fields(options)
    rows = results.table(**wanted)
    names = [name for name in NAMES if name in wanted or rows[name].astype(str).nunique() > 1]
    shown = rows[["key", *names, "accuracy", "source"]]
    print("no results" if rows.empty else shown.to_string(index=False))


def export_results(options: Options) -> None:
    """Write a table of the runs as a .csv file: fields, accuracy, how each was trained.

    cplab results export blur.csv --deficit blur
    """
    rows = results.table(**typed_fields(options))
    try:
        rows.to_csv(options.file, index=False)
    except OSError as error:
        raise CplabError(f"{options.file} cannot be written ({error}): name another") from error
    print(f"{len(rows)} results in {options.file}")


def verify_results(options: Options) -> int:
    """Check every result. Exit code 1 if one is damaged.

    cplab results verify
    """
    good, bad = results.verify()
    counts = f"{good['shipped']} shipped and {good['live']} live results are good"
    print(*bad, counts, f"{len(bad)} bad", sep="\n")
    return 1 if bad else 0


def retrain_results(options: Options) -> int:
    """Train the results with these keys again and compare; nothing is kept.

    `equal`: every number is, bit by bit; `near`: it was another machine, and the difference is
    small; `off`: neither. Exit code 1 if one is off.

    cplab results retrain 10da86ce08101b40
    """
    code = 0
    for result in [results.by_key(key) for key in options.keys]:
        outcome, again = results.retrain(result, options.device)
        numbers = f"{numbers_of(result)} | {numbers_of(again)}"
        print(f"{outcome:<5} {numbers}  {result.spec.call()}", flush=True)
        code = 1 if outcome == "off" else code
    return code


def ship_results(options: Options) -> None:
    """Add live results to a table of those that ship with the package; for maintainers.

    cplab results ship course --profile course --dataset cifar10
    """
    keys = {*results.table(**typed_fields(options))["key"]}
    live = [result for result in results.every_result("Run", "live") if result.key in keys]
    print(results.ship(live, options.table))


def merge_results(options: Options) -> int:
    """Copy results that were trained elsewhere, files or folders; those that are here stay.

    Exit code 2 if one is damaged or outdated; the others are copied.

    cplab results merge carried
    """
    new, old, refused = results.merge(options.paths)
    for line in refused:
        log_line("refused", line)
    print(f"{new} results taken in, {old} were there already, {len(refused)} refused")
    return 2 if refused else 0


# Images, labs, pages ------------------------------------------------------------------------------


def list_data(options: Options) -> None:
    """List the data sets that are on this machine, and where.

    cplab data list
    """
    from cplab import data

    for name in runs.DATASETS:
        made, place = name not in data.DOWNLOADS, data.location(name)
        absent = "made on the spot" if made else f"absent: cplab data fetch {name}"
        broken = " (cannot be read)" if place and not data.is_here(name) else ""
        print(f"{name:<14} {place or absent}{broken}")


def fetch_data(options: Options) -> None:
    """Download a set of images into the cache.

    cplab data fetch cifar10
    """
    from cplab import data

    print(data.fetch(options.dataset))


def write_site(options: Options) -> None:
    """Write the labs as pages that need no Python and no network.

    cplab site pages
    """
    from cplab.teach.site import build_site

    pages = build_site(Path(options.folder), options.lab)
    print(f"{len(pages)} pages: open {Path(options.folder) / 'index.html'}")


def build_copies(options: Options) -> None:
    """Write the labs without outputs and solutions, or with each solution as a cell that graders
    read.

    cplab teach build homework --student
    """
    if options.student == options.instructor:
        raise CplabError("for whom: give one of --student and --instructor")
    new, old = teach.build_all(Path(options.folder), solutions=options.instructor)
    print(f"{new} files written to {options.folder}, {old} were there already")


def open_lab(options: Options) -> None:
    """Open JupyterLab on a copy of a lab in ./cplab-labs, the first lab if none is named.

    A file that is there already stays as it is, so that nothing of yours is lost; rename it to have
    the lab anew.

    cplab lab 02
    """
    home, [first, *_] = Path("cplab-labs").absolute(), teach.labs(options.lab)
    if not options.copy and not find_spec("jupyterlab"):
        raise CplabError("JupyterLab is not installed: pip install 'cplab[lab]'")
    new, old = teach.copy_labs(home)
    print(f"{new} files copied to {home}, {old} were there already and stay as they are")
    if options.copy:
        return
    start = f"--LabApp.default_url=/lab/tree/{home.name}/{first.name}"
    words = [sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", start]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.append("--allow-root")  # as in the Makefile: a container's user is mostly root
    sys.stdout.flush()
    if os.name == "nt":  # where execv does not quote a path with spaces
        sys.exit(subprocess.call(words))
    os.execv(words[0], words)


# The command --------------------------------------------------------------------------------------

# What add_argument takes, by the name of the argument
ARGUMENTS: dict[str, dict[str, Any]] = {
    "--measure": {
        "nargs": "*", "metavar": "NAME", "default": (), "help": "trace, ending, or trace=0,4"
    },
    "--device": {"default": "auto", "help": ", ".join(runs.DEVICES)},
    "--workers": {"metavar": "N", "help": "processes"},
    "--fresh": {"action": "store_true", "help": "train it even if there is a result"},
    "--controls": {"action": "store_true", "help": "also equal training and the newborn"},
    "--json": {"action": "store_true", "help": "print JSON, one object a line"},
    "--student": {"action": "store_true", "help": "without solutions"},
    "--instructor": {"action": "store_true", "help": "with solutions as tagged cells"},
    "--copy": {"action": "store_true", "help": "only copy the labs"},
    "keys": {"nargs": "+", "metavar": "KEY"},
    "paths": {"nargs": "+", "metavar": "PATH"},
    "folder": {"metavar": "DIR", "help": "made if it is new"},
    "lab": {"nargs": "?", "default": "", "metavar": "LAB", "help": "how its name begins"},
}  # fmt: skip
COMMANDS: dict[str, tuple[Callable[[Options], int | None], str]] = {
    "run": (train_run, "--measure --workers --device --fresh --json"),
    "sweep": (train_sweep, "--controls --measure --workers --device --fresh --json"),
    "lab": (open_lab, "lab --copy"),
    "site": (write_site, "folder lab"),
    "results list": (list_results, ""),
    "results export": (export_results, "file"),
    "results verify": (verify_results, ""),
    "results retrain": (retrain_results, "keys --device"),
    "results ship": (ship_results, "table"),
    "results merge": (merge_results, "paths"),
    "data list": (list_data, ""),
    "data fetch": (fetch_data, "dataset"),
    "teach build": (build_copies, "folder --student --instructor"),
}


WITH_FIELDS = {"run", "sweep", "results list", "results export", "results ship"}


def make_parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(prog="cplab", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"cplab {__version__}")
    levels = {"": parser.add_subparsers(metavar="COMMAND")}
    for name, (function, arguments) in COMMANDS.items():
        group, _, last = name.rpartition(" ")
        if group not in levels:
            upper = levels[""].add_parser(group, help=f"{group} …")
            upper.set_defaults(function=lambda _, upper=upper: upper.print_help())
            levels[group] = upper.add_subparsers(metavar="COMMAND")
        words = inspect.cleandoc(function.__doc__ or "")
        one = levels[group].add_parser(
            last, help=words.partition("\n")[0], description=words, allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        one.set_defaults(function=function)
        for argument in arguments.split():
            one.add_argument(argument, **ARGUMENTS.get(argument, {}))
        if name in WITH_FIELDS:
            help_of = "or length=8; help(cplab.Run) says what each is"
            group_of = one.add_argument_group("fields of a run, as --length 8", help_of)
            for field in NAMES:
                spellings = dict.fromkeys((f"--{field}", f"--{field.replace('_', '-')}"))
                several = "+" if name == "sweep" else None
                group_of.add_argument(*spellings, nargs=several, metavar="VALUE")
    return parser


def parse_words(words: Sequence[str]) -> Callable[[], int | None]:
    """Parse the words after `cplab` into a function without arguments that carries them out.

    Raises: CplabError; SystemExit where help was printed.
    """
    given = {word for word in words if "=" in word and word.partition("=")[0] in NAMES}
    typed = [f"--{word}" if word in given else word for word in words]
    options = make_parser().parse_args(typed or ["--help"])
    return partial(options.function, options)


def main(args: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. An error is one line on standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_: log_line("warning", message)
        try:
            command = parse_words(sys.argv[1:] if args is None else list(args))
            with installed():
                return command() or 0
        except KeyboardInterrupt:
            log_line("stopped", "the same command goes on from here")
            return 130
        except CplabError as error:
            log_line("error", error)
            return error.exit_code
        except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except SystemExit as done:
            return int(done.code or 0)


def log_line(what: str, text: object) -> None:
    """Write one line to standard error, above a progress bar if there is one."""
    from tqdm import tqdm

    tqdm.write(f"{what}: {' '.join(str(text).split())}", file=sys.stderr)
