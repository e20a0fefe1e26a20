"""The command line. Each command is a function below.

Its words are the function's arguments, and its options are the arguments after the `*`. The fields
of a run may be typed as options, `--length 8`, or as words, `length=8`. Values are passed on as
they were typed, so that Python and the command line refuse the same values in the same words.

Exit codes: 0; 1, a result is bad or training failed; 2, bad input; 130, interrupted.
"""

import argparse
import difflib
import inspect
import os
import re
import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from itertools import product
from json import dumps
from pathlib import Path
from typing import Any, NoReturn

from cplab import results, runs, teach
from cplab.errors import CplabError, installed, one_of

NAMES = [field.name for field in fields(runs.Run)]
COPIES = "cplab-labs"  # the folder of the labs' copies, unless another one is named

# Training -----------------------------------------------------------------------------------------


def train(
    *,
    controls: bool = False,
    measure: Sequence[str] = (),
    workers: Any = None,  # as typed, which sweep reads
    device: str = "auto",
    fresh: bool = False,
    json: bool = False,
    **values: list[str],
) -> None:
    """Look up a run, or all combinations of several values; train what has no result.

    Common beginnings are trained once. Ctrl-C stops, and the same command goes on. --measure trace,
    trace=0,4 or ending; --fresh trains again what has a result; --controls adds each run's
    twin, which is the run without the window, and equal training.

    cplab run --deficit blur --length 8 --recovery 15 --seed 0 --json
    cplab sweep --deficit blur --onset 0 2 4 --length 0 4 8 --seed 0 1 2
    cplab sweep deficit=blur onset=0,2,4 length=0,4,8 seed=0,1,2 --controls
    """
    specs = [runs.Run(**point) for point in combinations(values)]
    unique = results.with_controls(specs) if controls else [*dict.fromkeys(specs)]
    measures = dict(read_measure(word) for word in measure)
    cached = set()
    if not fresh:
        cached = {run for run in unique if results.find(run, measures)}
    for result in results.sweep(unique, measures, fresh=fresh, device=device, workers=workers):
        is_cached = result.spec in cached
        if json:
            print(write_json(result, is_cached))
        else:
            origin = result.source if is_cached else f"trained in {result.seconds:.1f} s"
            print(f"{write_numbers(result)}  {result.key}  {result.spec.call()}  ({origin})")


def read_measure(word: str) -> tuple[str, str | list[str] | None]:
    """Read what to measure, and when: `trace`, `trace=end` or `trace=0,4`.

    >>> read_measure("trace=0,4"), read_measure("trace")
    (('trace', ['0', '4']), ('trace', None))
    """
    name, _, moment = word.partition("=")
    if moment[:1].isdigit():
        return name, moment.split(",")
    return name, moment or None


def combinations(values: dict[str, list[str]]) -> list[dict[str, Any]]:
    """All combinations of values of fields of a run, which are typed as words or with commas.

    >>> combinations({"deficit": ["blur"], "length": ["4,8"]})
    [{'deficit': 'blur', 'length': '4'}, {'deficit': 'blur', 'length': '8'}]
    """
    typed = [",".join(words).split(",") for words in values.values()]
    return [dict(zip(values, point, strict=True)) for point in product(*typed)]


def write_numbers(result: results.Result) -> str:
    """Write the numbers among a result's values: `accuracy 0.5712`."""
    values = result.values
    if isinstance(result.spec, runs.Run):
        values = {"accuracy": result.accuracy}
    numbers = []
    for name, value in values.items():
        if isinstance(value, int | float):
            numbers.append(f"{name} {value:.4f}")
    return ", ".join(numbers)


def write_json(result: results.Result, is_cached: bool) -> str:
    """Write a result as a JSON object, with the fields of its run and its values by their names."""
    plain = result.plain()
    plain |= {"accuracy": result.accuracy, "source": result.source}
    return dumps({"cached": is_cached, **plain["spec"], **plain["values"], **plain})


# Results ------------------------------------------------------------------------------------------


def list_results(**values: list[str]) -> None:
    """List the runs that were trained, shipped and live.

    cplab results list --profile course --deficit blur --seed 0 1
    """
    import pandas as pd

    tables = [results.results_table(**point) for point in combinations(values)]
    rows = pd.concat(tables).drop_duplicates("key")
    if rows.empty:
        print("no results")
        return
    columns = ["key"]
    for name in NAMES:
        if name in values or rows[name].astype(str).nunique() > 1:
            columns.append(name)
    columns += ["accuracy", "source"]
    print(rows[columns].to_string(index=False))


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
    student: str | None = None,
    instructor: str | None = None,
    nbgrader: str | None = None,
) -> None:
    """Write copies of one lab or of all: for students, with solutions, or as a course of nbgrader.

    cplab teach build homework --student 02
    cplab teach build mine --instructor
    cplab teach build course --nbgrader
    """
    kinds = {"student": student, "instructor": instructor, "nbgrader": nbgrader}
    chosen = {kind: lab for kind, lab in kinds.items() if lab is not None}
    if len(chosen) != 1:
        options = ", ".join(f"--{kind}" for kind in kinds)
        raise CplabError(f"for whom: give one of {options}")
    [(kind, lab)] = chosen.items()
    print(f"{folder}: {teach.build_copies(Path(folder), kind, lab)}")
    if kind != "nbgrader":
        print(f"to open it: cplab lab --folder {shlex.quote(folder)}")


def open_lab(name: str = "", *, copy: bool = False, folder: str = COPIES) -> None:
    """Open JupyterLab on a copy of a lab in ./cplab-labs, or only copy the labs there (--copy).

    It opens the first lab if none is named. Labs that go further are in a folder of their own,
    `going-further`. The labs are copied if ./cplab-labs has no copy yet, and by --copy. Copies that
    exist stay as they are, so that your work is safe; if a lab has changed since, --copy writes a
    fresh one beside the old one. --folder names another folder, such as one of `cplab teach build`.

    cplab lab 02
    cplab lab --folder homework
    cplab lab --copy --folder spring
    """
    home = Path(folder).absolute()
    if not copy and not find_spec("jupyterlab"):
        raise CplabError("JupyterLab is not installed: pip install 'cplab[lab]'")
    if copy or (folder == COPIES and not teach.copies_of(home, name)):
        print(f"{home}: {teach.copy_labs(home)}", flush=True)
    if copy:
        return
    copies = teach.copies_of(home, name)
    if not copies:
        wanted = f"lab {name}" if name else "a lab"
        raise CplabError(
            f"{home} has no copy of {wanted}: name a folder that has one, or copy the labs there "
            "with --copy"
        )
    first = copies[0]
    page = f"--LabApp.default_url=/lab/tree/{first.relative_to(home.parent).as_posix()}"
    os.chdir(home.parent)  # where JupyterLab's tree of files begins
    words = [sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", page]
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
    "data fetch": fetch_data,
    "teach build": build_copies,
}


class Parser(argparse.ArgumentParser):
    """A parser that raises what is wrong as a CplabError, with the option that was meant."""

    def error(self, message: str) -> NoReturn:
        typed = re.findall(r"--[\w-]+|\w+(?==)", message)  # options, and fields before a `=`
        choices = re.findall(r"--[\w-]+", self.format_help())
        remedy = f"`{self.prog} --help` lists what there is"
        if "--deficit" in choices:  # a command that takes the fields of a run
            choices = [*NAMES, *choices]
            remedy = f"write --deficit blur or deficit=blur; {remedy}"
        if typed:
            close = difflib.get_close_matches(typed[-1], choices, 1)
            if close and close[0] != typed[-1]:
                message += f" (did you mean {close[0]}?)"
        raise CplabError(f"{message}: {remedy}")


def make_parser(name: str) -> Parser:
    """The parser of a command, made from the arguments of its function."""
    parser = Parser(
        prog=f"cplab {name}",
        description=inspect.cleandoc(COMMANDS[name].__doc__ or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    for parameter in inspect.signature(COMMANDS[name]).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            add_fields(parser)
        elif parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            add_word(parser, parameter)
        else:
            add_option(parser, parameter)
    return parser


REPEATED: dict[str, Any] = {"nargs": "+", "action": "extend"}  # values, after one option or more


def add_fields(parser: Parser) -> None:
    """Let a command take the fields of a run as options."""
    description = "or length=8; help(cplab.Run) explains each one"
    group = parser.add_argument_group("fields of a run, such as --length 8", description)
    for field in NAMES:
        spellings = dict.fromkeys((f"--{field}", f"--{field.replace('_', '-')}"))
        group.add_argument(*spellings, metavar="VALUE", **REPEATED)


def add_word(parser: Parser, parameter: inspect.Parameter) -> None:
    """Let a command take an argument of its function as a word, or as several."""
    if parameter.annotation == list[str]:
        parser.add_argument(parameter.name, nargs="+")
    elif parameter.default is parameter.empty:
        parser.add_argument(parameter.name)
    else:
        parser.add_argument(parameter.name, nargs="?")


def add_option(parser: Parser, parameter: inspect.Parameter) -> None:
    """Let a command take an argument of its function as an option: a switch, or with values."""
    option = f"--{parameter.name}"
    if parameter.default is False:
        parser.add_argument(option, action="store_true")
    elif parameter.default is None and parameter.annotation == str | None:
        parser.add_argument(option, nargs="?", const="")
    elif parameter.annotation == Sequence[str]:
        parser.add_argument(option, **REPEATED)
    else:
        parser.add_argument(option)


def parse_words(words: Sequence[str]) -> Callable[[], int | None]:
    """Parse the words after `cplab` into a function without arguments that carries them out.

    Raises: CplabError; SystemExit where help was printed.
    """
    bare = [word for word in words if word not in ("-h", "--help")]
    if bare == ["--version"]:
        return lambda: print(f"cplab {version('cplab')}")
    group = [command for command in COMMANDS if command.split()[: len(bare)] == bare]
    name = command_of(bare)
    if group and not name:  # words with which several commands begin, or no words
        return partial(list_commands, group)
    if not name:
        name = " ".join(bare[:2]).partition(" -")[0]  # without options
    one_of("command", name, COMMANDS)
    options = []
    for word in words[len(name.split()) :]:
        field, equals, _ = word.partition("=")
        options.append(f"--{word}" if equals and field in NAMES else word)
    parsed = make_parser(name).parse_args(options)
    return partial(COMMANDS[name], **vars(parsed))


def command_of(words: Sequence[str]) -> str:
    """The command that words begin with; "" for none.

    >>> command_of(["results", "list", "--seed", "0"])
    'results list'
    """
    for name in COMMANDS:
        parts = name.split()
        if words[: len(parts)] == parts:
            return name
    return ""


def list_commands(names: Sequence[str]) -> None:
    """Print what each of these commands does, a line each."""
    for name in names:
        first_paragraph = (inspect.getdoc(COMMANDS[name]) or "").partition("\n\n")[0]
        print(f"cplab {name:<16} {' '.join(first_paragraph.split())}")


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


def log_line(kind: str, text: object) -> None:
    """Write one line to standard error, above a progress bar if there is one. kind: its beginning,
    such as `error`."""
    from tqdm import tqdm

    words = " ".join(str(text).split())
    tqdm.write(f"{kind}: {words}", file=sys.stderr)
