"""The command line: a command is a function below. Its words are the function's arguments, its
options those after the `*`, and the fields of a run may be typed as options, `--length 8`, or as
words, `length=8`. Values are passed on as typed, so that Python and the command line refuse the
same ones in the same words.

Exit codes: 0; 1, a result is bad or training failed; 2, bad input; 130, interrupted.
"""

import argparse
import difflib
import inspect
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from importlib.util import find_spec
from itertools import product
from json import dumps
from pathlib import Path
from typing import Any, NoReturn

from cplab import __version__, results, runs, teach
from cplab.errors import CplabError, installed, one_of

NAMES = [field.name for field in fields(runs.Run)]

# Training -----------------------------------------------------------------------------------------


def train(
    *,
    controls: bool = False,
    measure: Sequence[str] = (),
    workers: str | None = None,
    device: str = "auto",
    fresh: bool = False,
    json: bool = False,
    **values: list[str],
) -> None:
    """Look up a run, or all combinations of several values; train what has no result.

    Common beginnings are trained once. Ctrl-C stops, and the same command goes on. --measure trace,
    trace=0,4 or ending; --fresh trains what has a result, too; --controls adds equal training and
    the newborn.

    cplab run --deficit blur --length 8 --recovery 15 --seed 0 --json
    cplab sweep --deficit blur --onset 0 2 4 --length 0 4 8 --seed 0 1 2
    cplab sweep deficit=blur onset=0,2,4 length=0,4,8 seed=0,1,2 --controls
    """
    wanted = [runs.Run(**point) for point in points_of(values)]
    if controls:
        for run in [*wanted]:
            wanted += [run.equal_training(), run.newborn()]
    measures = dict(read_measure(word) for word in measure)
    cached = {run for run in wanted if not fresh and results.find(run, measures)}
    how: dict[str, Any] = {"fresh": fresh, "device": device, "workers": workers}
    for result in results.sweep(dict.fromkeys(wanted), measures, **how):
        found = result.spec in cached
        if json:
            plain = {**result.plain(), "accuracy": result.accuracy, "source": result.source}
            print(dumps({"cached": found, **plain["spec"], **plain["values"], **plain}))
        else:
            origin = result.source if found else f"trained in {result.seconds:.1f} s"
            print(f"{numbers_of(result)}  {result.key}  {result.spec.call()}  ({origin})")


def read_measure(word: str) -> tuple[str, str | list[str] | None]:
    """Read what to measure, and when: `trace`, `trace=end` or `trace=0,4`.

    >>> read_measure("trace=0,4"), read_measure("trace")
    (('trace', ['0', '4']), ('trace', None))
    """
    name, _, when = word.partition("=")
    if when[:1].isdigit():
        return name, when.split(",")
    return name, when or None


def points_of(values: dict[str, list[str]]) -> list[dict[str, Any]]:
    """All combinations of values of fields of a run, which are typed as words or with commas."""
    points = product(*(",".join(typed).split(",") for typed in values.values()))
    return [dict(zip(values, point, strict=True)) for point in points]


def numbers_of(result: results.Result) -> str:
    """Write the numbers among a result's values: `accuracy 0.5712`."""
    values = {"accuracy": result.accuracy} if isinstance(result.spec, runs.Run) else result.values
    numbers = {k: v for k, v in values.items() if isinstance(v, int | float)}
    return ", ".join(f"{name} {value:.4f}" for name, value in numbers.items())


# Results ------------------------------------------------------------------------------------------


def list_results(**wanted: list[str]) -> None:
    """List the runs that were trained, shipped and live.

    cplab results list --profile course --deficit blur --seed 0 1
    """
    import pandas as pd

    rows = pd.concat([results.table(**point) for point in points_of(wanted)]).drop_duplicates("key")
    names = [name for name in NAMES if name in wanted or rows[name].astype(str).nunique() > 1]
    shown = rows[["key", *names, "accuracy", "source"]]
    print("no results" if rows.empty else shown.to_string(index=False))


def verify_results() -> int:
    """Check every result. Exit code 1 if one is damaged.

    cplab results verify
    """
    counts, bad = results.verify()
    print(*bad, sep="\n", end="\n" if bad else "")
    print(f"{counts['shipped']} shipped and {counts['live']} live results are good")
    if counts["unknown"]:
        print(f"{counts['unknown']} live results are of another version or branch, and stay")
    print(f"{len(bad)} bad")
    return 1 if bad else 0


def retrain_results(keys: list[str], *, device: str = "auto") -> int:
    """Train the results with these keys again and compare; nothing is kept.

    `equal`: every number is, bit by bit; `other`: not, on another machine, with other images or
    another torch; `off`: not, though all is as it was. Exit code 1 if one is off.

    cplab results retrain 10da86ce08101b40
    """
    outcomes = []
    for result in [results.by_key(key) for key in keys]:
        outcome, again = results.retrain(result, device)
        numbers = f"{numbers_of(result)} | {numbers_of(again)}"
        print(f"{outcome:<5} {numbers}  {result.spec.call()}", flush=True)
        outcomes.append(outcome)
    return 1 if "off" in outcomes else 0


def ship_results(name: str, **wanted: list[str]) -> None:
    """Add live results to a table of those that ship with the package; for maintainers.

    cplab results ship course --profile course --dataset cifar10
    """
    keys = {key for point in points_of(wanted) for key in results.table(**point)["key"]}
    live = [result for result in results.every_result("Run", "live") if result.key in keys]
    print(results.ship(live, name))


def merge_results(paths: list[str]) -> int:
    """Copy results that were trained elsewhere, files or folders; results that are here already
    stay.

    Exit code 2 if one is damaged or outdated; the others are copied.

    cplab results merge carried
    """
    new, old, refused = results.merge(paths)
    for line in refused:
        log_line("refused", line)
    print(f"{new} results taken in, {old} were there already, {len(refused)} refused")
    return 2 if refused else 0


# Images, labs, pages ------------------------------------------------------------------------------


def fetch_data(dataset: str) -> None:
    """Download a set of images into the cache.

    cplab data fetch cifar10
    """
    from cplab import data

    print(data.fetch(dataset))


def write_site(folder: str, lab: str = "") -> None:
    """Write the labs as pages that need neither Python nor internet; LAB is the beginning of a
    lab's name.

    cplab site pages
    """
    from cplab.teach.site import build_site

    pages = build_site(Path(folder), lab)
    print(f"{len(pages)} pages: open {Path(folder) / 'index.html'}")


def build_copies(
    folder: str,
    *,
    student: bool = False,
    instructor: bool = False,
    nbgrader: bool = False,
    otter: bool = False,
) -> None:
    """Write copies of the labs: for students, with solutions, or a course for one of two graders.

    cplab teach build homework --student
    cplab teach build course --nbgrader
    """
    kinds = {"student": student, "instructor": instructor, "nbgrader": nbgrader, "otter": otter}
    chosen = [kind for kind, wanted in kinds.items() if wanted]
    if len(chosen) != 1:
        raise CplabError(f"for whom: give one of {', '.join(f'--{kind}' for kind in kinds)}")
    print(f"{folder}: {teach.build_copies(Path(folder), chosen[0])}")


def open_lab(name: str = "", *, copy: bool = False, folder: str = "cplab-labs") -> None:
    """Open JupyterLab on a copy of a lab in ./cplab-labs, or only copy the labs there (--copy).

    The first lab if none is named. Copies that exist stay as they are, so that your work is safe;
    if a lab has changed since, a fresh copy is written beside the old one. --folder names another
    folder.

    cplab lab 02
    cplab lab --copy --folder spring
    """
    home = Path(folder).absolute()
    first = teach.labs(name)[0]
    if not copy and not find_spec("jupyterlab"):
        raise CplabError("JupyterLab is not installed: pip install 'cplab[lab]'")
    print(f"{home}: {teach.copy_labs(home)}", flush=True)
    if copy:
        return
    start = f"--LabApp.default_url=/lab/tree/{home.name}/{first.name}"
    os.chdir(home.parent)  # where JupyterLab's tree of files begins
    words = [sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", start]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.append("--allow-root")  # as in the Makefile: a container's user is mostly root
    if os.name == "nt":  # where execv does not quote a path with spaces
        sys.exit(subprocess.call(words))
    os.execv(words[0], words)


# The command --------------------------------------------------------------------------------------

COMMANDS: dict[str, Callable[..., int | None]] = {
    "run": train,
    "sweep": train,
    "lab": open_lab,
    "site": write_site,
    "results list": list_results,
    "results verify": verify_results,
    "results retrain": retrain_results,
    "results ship": ship_results,
    "results merge": merge_results,
    "data fetch": fetch_data,
    "teach build": build_copies,
}


class Parser(argparse.ArgumentParser):
    """A parser that raises what is wrong as a CplabError, with the option that was meant."""

    def error(self, message: str) -> NoReturn:
        *_, typed = re.findall(r"--[\w-]+|\w+(?==)", message) or [""]
        options = re.findall(r"--[\w-]+", self.format_help())
        fields = NAMES if "--deficit" in options else []
        close = difflib.get_close_matches(typed, [*fields, *options], 1)
        hint = f" (did you mean {close[0]}?)" if close and close[0] != typed else ""
        how = "write --deficit blur or deficit=blur; " * bool(fields)
        raise CplabError(f"{message}{hint}: {how}`{self.prog} --help` says what there is")


def make_parser(name: str) -> Parser:
    """The parser of a command, made from the arguments of its function."""
    parser = Parser(
        prog=f"cplab {name}",
        description=inspect.cleandoc(COMMANDS[name].__doc__ or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    for argument in inspect.signature(COMMANDS[name]).parameters.values():
        many, default = argument.annotation in (list[str], Sequence[str]), argument.default
        values: dict[str, Any] = {"nargs": "+", "action": "extend"} if many else {}
        if argument.kind is argument.VAR_KEYWORD:
            help_of = "or length=8; help(cplab.Run) says what each is"
            group = parser.add_argument_group("fields of a run, as --length 8", help_of)
            for field in NAMES:
                spellings = dict.fromkeys((f"--{field}", f"--{field.replace('_', '-')}"))
                group.add_argument(*spellings, metavar="VALUE", **values)
        elif argument.kind is argument.POSITIONAL_OR_KEYWORD:
            usual = None if default is argument.empty else "?"
            parser.add_argument(argument.name, nargs="+" if many else usual)
        elif default is False:
            parser.add_argument(f"--{argument.name}", action="store_true")
        else:
            parser.add_argument(f"--{argument.name}", **values)
    return parser


def parse_words(words: Sequence[str]) -> Callable[[], int | None]:
    """Parse the words after `cplab` into a function without arguments that carries them out.

    Raises: CplabError; SystemExit where help was printed.
    """
    named = [word for word in words if word not in ("-h", "--help")]
    if named == ["--version"]:
        return lambda: print(f"cplab {__version__}")
    parts = {name: name.split() for name in COMMANDS}
    found = [name for name, part in parts.items() if named[: len(part)] == part]
    group = [name for name, part in parts.items() if part[: len(named)] == named]
    if not found and group:  # the commands that begin so, and what each does
        lines = (f"cplab {n:<16} {inspect.getdoc(COMMANDS[n])}".partition("\n")[0] for n in group)
        return lambda: print(*lines, sep="\n")
    given = " ".join(named[:2]).partition(" -")[0]
    name = found[0] if found else one_of("command", given, COMMANDS)
    typed = [f"--{w}" if "=" in w and w.partition("=")[0] in NAMES else w for w in words]
    options = make_parser(name).parse_args(typed[len(parts[name]) :])
    return partial(COMMANDS[name], **vars(options))


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
