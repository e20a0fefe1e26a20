"""The command line: `cplab` lists its commands, and `cplab run --help` explains one of them.

Fields of a run are options, `--length 8`. Their values are passed on as they were typed, so that
Python and the command line refuse the same values in the same words.

Exit codes: 0; 1, a result is bad or training failed; 2, bad input; 130, interrupted.
"""

import argparse
import inspect
import os
import re
import shlex
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields
from importlib.metadata import version
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any, NoReturn

from cplab import results, runs, teach
from cplab.base.errors import CplabError, installed, to_install, to_type
from cplab.pictures.datasets import DOWNLOADS

RUN_FIELDS = [field.name for field in fields(runs.Run)]
COPIES = "cplab-labs"  # the folder of the labs' copies, unless another one is named
# Opens JupyterLab sooner: at each start it would compile a grammar of addresses, which nothing asks
# for, for more than a second of a core.
JUPYTERLAB = (
    "import sys; sys.modules['rfc3987_syntax'] = None; "
    "from jupyterlab.labapp import main; sys.exit(main())"
)
NO_SEARCH = "--LanguageServerManager.autodetect=False"  # for programs that check code, with npm
WHAT_COPIES_HAVE = {
    "student": "an empty cell for each answer",
    "instructor": "the solutions in their places",
    "nbgrader": "what nbgrader needs to make students' copies and to grade them",
}

# What the commands do -----------------------------------------------------------------------------


def run(**options: Any) -> None:
    """Look up one run; train it if it has no result.

    Ctrl-C stops, and the same command goes on. --controls adds the run's twin, which is the run
    without the window, and equal training.

    cplab run --deficit blur --length 8 --recovery 15 --seed 0 --measure trace
    """
    train(**options)


def sweep(**options: Any) -> None:
    """Look up all combinations of several values; train those that have no result.

    Common beginnings are trained once. Ctrl-C stops, and the same command goes on. --controls adds
    each run's twin, which is the run without the window, and equal training.

    cplab sweep --deficit blur --onset 0 2 4 --length 0 4 8 --seed 0 1 2 --controls
    """
    train(**options)


def train(
    controls: bool = False,
    measure: Sequence[str] = (),
    workers: int | None = None,
    device: str = "auto",
    **values: Any,  # lists of what was typed, by field
) -> None:
    """Look up the runs of all combinations of values, and print a line of each."""
    points = [dict(zip(values, point, strict=True)) for point in product(*values.values())]
    specs = [runs.Run(**point) for point in points]
    unique = [*dict.fromkeys(specs)]
    for result in results.sweep(unique, measure, controls=controls, device=device, workers=workers):
        call = result.spec.call()
        print(f"accuracy {result.accuracy:.4f}  {result.key}  {call}  ({result.source})")


def fetch_data(dataset: str) -> None:
    """Download a set of images into the cache.

    cplab data fetch cifar10
    """
    from cplab.pictures import datasets

    print(datasets.fetch(dataset))


def write_site(folder: str, lab: str = "") -> None:
    """Write the labs as pages that need neither Python nor internet; LAB is the beginning of a
    lab's name.

    cplab site pages
    """
    from cplab.teach.site import build_site

    pages = build_site(Path(folder), lab)
    print(f"{len(pages)} pages: open {Path(folder) / 'index.html'}")


def write_copies(folder: str, **labs: str) -> None:
    """Write copies of one lab or of all: for students, with solutions, or as a course of nbgrader.

    cplab teach build homework --student 02
    cplab teach build mine --instructor
    cplab teach build course --nbgrader
    """
    [(kind, lab)] = labs.items()
    print(f"{folder}: {teach.build_copies(Path(folder), kind, lab)}")
    if kind != "nbgrader":
        command = to_type(f"lab --folder {shlex.quote(folder)}")
        print(f"to open it: {command}")


def open_lab(
    name: str = "", copy: bool = False, folder: str = COPIES, jupyter: Sequence[str] = ()
) -> None:
    """Open JupyterLab on a copy of a lab in ./cplab-labs, or only copy the labs there (--copy).

    It opens the first lab if none is named. Labs that go further are in a folder of their own,
    `going-further`. Copies that exist stay as they are, so that your work is safe; if a lab has
    changed since, a fresh one is written beside the old one. --folder names another folder, such as
    one of `cplab teach build`, which is opened as it is. What follows --jupyter are options for
    JupyterLab.

    cplab lab 02
    cplab lab --folder homework
    cplab lab --copy --folder spring
    cplab lab 02 --jupyter --no-browser
    """
    home = Path(folder).absolute()
    if not copy and not find_spec("jupyterlab"):
        raise CplabError(f"JupyterLab is not installed: {to_install('lab')}")
    teach.labs(name)  # which refuses a lab that there is not
    if copy or folder == COPIES:
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
    words = [sys.executable, "-c", JUPYTERLAB, "--ServerApp.ip=127.0.0.1", page, NO_SEARCH]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.append("--allow-root")  # a container's user is mostly root
    words += jupyter
    if os.name == "nt":  # where execv does not quote a path with spaces
        signal.signal(signal.SIGINT, lambda *_: None)  # at Ctrl-C JupyterLab asks what is meant
        sys.exit(subprocess.call(words))
    os.execv(words[0], words)


# The command --------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """A parser that raises what is wrong as a CplabError."""

    def error(self, message: str) -> NoReturn:
        raise CplabError(f"{message}: `{self.prog} --help` lists what there is")

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse here what is unknown: else `cplab` would, which cannot name the command."""
        options, unknown = super().parse_known_args(*args, **kwargs)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown


def make_parser() -> Parser:
    """The parser of all commands. Each leaves what it does in `do`, and its arguments."""
    parser = Parser(prog="cplab", description="Critical learning periods in deep networks.")
    parser.add_argument("--version", action="version", version=f"cplab {version('cplab')}")
    parser.set_defaults(do=parser.print_help)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    add_training(add_command(commands, "run", run), values=1)
    add_training(add_command(commands, "sweep", sweep), values="+")

    opening = add_command(commands, "lab", open_lab)
    opening.add_argument("name", nargs="?", help="the beginning of a lab's name, such as 02")
    opening.add_argument("--copy", action="store_true", help="copy all labs, and open none")
    opening.add_argument("--folder", help=f"of copies, instead of {COPIES}")
    options = "all that follow are options of JupyterLab"
    opening.add_argument("--jupyter", nargs=argparse.REMAINDER, metavar="OPTION", help=options)

    site = add_command(commands, "site", write_site)
    site.add_argument("folder", help="where the pages are written")
    site.add_argument("lab", nargs="?", help="the beginning of a lab's name, such as 02")

    data = add_group(commands, "data", "Images, which photographs are trained on.")
    fetching = add_command(data, "fetch", fetch_data)
    sizes = [f"{name} ({download.megabytes} MB)" for name, download in DOWNLOADS.items()]
    fetching.add_argument("dataset", help=", ".join(sizes))

    teaching = add_group(commands, "teach", "Copies of the labs for a class.")
    building = add_command(teaching, "build", write_copies)
    building.add_argument("folder", help="where the copies are written")
    kinds = building.add_mutually_exclusive_group(required=True)
    for kind in teach.KINDS:
        explained = f"{WHAT_COPIES_HAVE[kind]}; of one lab, or of all"
        kinds.add_argument(f"--{kind}", nargs="?", const="", metavar="LAB", help=explained)
    return parser


def add_training(parser: Parser, values: int | str) -> None:
    """Add the options of a command that trains; values, how many a field takes, as argparse says
    it."""
    parser.add_argument("--controls", action="store_true", help="train the runs' controls as well")
    parser.add_argument("--measure", nargs="+", metavar="NAME", help="such as trace or ending")
    parser.add_argument("--workers", type=int, help="processes that train at once")
    parser.add_argument("--device", help=", ".join(runs.DEVICES))
    group = parser.add_argument_group("fields of a run, such as --length 8")
    for name, explained in help_of_fields().items():
        group.add_argument(f"--{name}", nargs=values, metavar="VALUE", help=explained)


def help_of_fields() -> dict[str, str]:
    """What each field of a run is, as the class explains it."""
    text = inspect.getdoc(runs.Run) or ""
    explained = {}
    for name in RUN_FIELDS:
        found = re.search(rf"^    {name}: (.+(\n {{8}}.+)*)", text, re.M)
        explained[name] = " ".join(found[1].split()) if found else ""
    return explained


def add_group(commands: Any, name: str, text: str) -> Any:
    """Add a command that has commands of its own, and return what these are added to. Alone it
    prints its help."""
    parser = commands.add_parser(name, help=f"{text} See `cplab {name}`", description=text)
    parser.set_defaults(do=parser.print_help)
    return parser.add_subparsers(title="commands", metavar="COMMAND")


def add_command(commands: Any, name: str, do: Callable[..., None]) -> Parser:
    """Add a command that a function does, and return its parser. What is not typed keeps the
    function's default."""
    text = inspect.cleandoc(do.__doc__ or "")
    first_paragraph, *_ = text.split("\n\n")
    parser = commands.add_parser(
        name,
        help=" ".join(first_paragraph.split()),
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.set_defaults(do=do)
    return parser


def main(args: Sequence[str] | None = None) -> int:
    """Do a command and return its exit code. An error is one line on standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_: log_line("warning", message)
        try:
            options = vars(make_parser().parse_args(args))
            do = options.pop("do")
            with installed():
                do(**options)
        except KeyboardInterrupt:
            log_line("stopped", "the same command goes on from here")
            return 130
        except CplabError as error:
            log_line("error", error)
            return error.exit_code
        except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def log_line(kind: str, text: object) -> None:
    """Write one line to standard error, above a progress bar if there is one. kind: its beginning,
    such as `error`."""
    from tqdm import tqdm

    words = " ".join(str(text).split())
    tqdm.write(f"{kind}: {words}", file=sys.stderr)
