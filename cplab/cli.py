"""The command line. Its options are the fields of a spec, and every value is passed to the spec as
typed, so that Python and the command line refuse the same values in the same words.

Exit codes: 0; 1, a result is bad or training failed; 2, bad input; 130, interrupted.
"""

import io
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stderr
from dataclasses import field, fields, make_dataclass
from functools import partial, wraps
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import tyro
from tyro.conf import OmitArgPrefixes, Positional, arg

from cplab import __version__, results, runs, teach
from cplab.errors import CplabError, installed, named_folder, require, whole

HIDE = {"help_behavior_hint": ""}  # tyro would print a default of None

MeasureOption = Annotated[
    tuple[str, ...], arg(metavar="NAME", help="Also trace, ending, or trace=0,4.", **HIDE)
]
DeviceOption = Annotated[
    str, arg(metavar="NAME", help=f"{', '.join(runs.DEVICES)}. [auto]", **HIDE)
]
JsonOption = Annotated[bool, arg(help="Print JSON, one object a line.", **HIDE)]
Folder = Annotated[Positional[str], arg(metavar="DIR", help="A folder, made if it is new.")]
Lab = Annotated[Positional[str], arg(metavar="LAB", help="A lab, or how its name begins.", **HIDE)]


def field_options(several: bool = False) -> Any:
    """Make a class with an option for each field of a run, as text, with the field's docstring as
    help; `several`: each option takes several values."""
    options, docstrings = [], field_words()
    for spec_field in fields(runs.Run):
        info = runs.Run.__pydantic_fields__[spec_field.name]  # type: ignore[attr-defined]
        choices = get_args(info.annotation) if get_origin(info.annotation) is Literal else ()
        value = "yes" if spec_field.default is True else spec_field.default
        default = f" [{value}]" if isinstance(value, int | float | str) else ""
        words = " ".join([*docstrings[spec_field.name].split(), ", ".join(choices)]) + default
        kind: Any = tuple[str, ...] if several else str | None
        described = Annotated[kind, arg(metavar="VALUE", help=words, **HIDE)]
        options.append((spec_field.name, described, field(default=() if several else None)))
    return OmitArgPrefixes[make_dataclass("Fields", options)]  # type: ignore[misc]


def field_words() -> dict[str, str]:
    """The line on each field in the docstring of Run."""
    return dict(re.findall(r"^ +(\w+): (.+)$", str(runs.Run.__doc__), re.MULTILINE))


Filters: Any = field_options()
Grid: Any = field_options(several=True)


def typed_fields(options: Any) -> dict[str, Any]:
    """The fields of a run that were typed; the run supplies the others."""
    return {name: value for name, value in vars(options).items() if value not in (None, ())}


def read_measures(words: Iterable[str]) -> dict[str, Any]:
    """Read the words after --measure: {"trace": ["0", "4"], "ending": None} from `trace=0,4
    ending`."""
    return {
        name: when.split(",") if when[:1].isdigit() else when or None
        for name, _, when in (word.partition("=") for word in words)
    }


# Training -----------------------------------------------------------------------------------------


def train_run(
    run: Filters,
    measure: MeasureOption = (),
    device: DeviceOption = "auto",
    fresh: Annotated[bool, arg(help="Train it even if there is a result.", **HIDE)] = False,
    json: JsonOption = False,
) -> None:
    """Look up one run, or train it and keep its result.

    cplab run --deficit blur --length 8 --recovery 15 --seed 0 --json
    """
    wanted, measures = runs.Run(**typed_fields(run)), read_measures(measure)
    cached = not fresh and bool(results.find(wanted, measures))
    [result] = results.sweep([wanted], measures, fresh=fresh, device=device)
    if json:
        print(as_json(result, cached))
        return
    origin = result.source if cached else f"trained in {result.seconds:.1f} s,"
    print(f"{numbers_of(result)} ({origin} result {result.key})")
    print(result.spec.call())
    for name, rows in result.measured.items():
        print(f"{name} measured after {len(rows)} epochs")


def train_sweep(
    grid: Grid,
    controls: Annotated[bool, arg(help="Also equal training and the newborn.", **HIDE)] = False,
    measure: MeasureOption = (),
    workers: Annotated[str | None, arg(metavar="N", help="Processes.", **HIDE)] = None,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Train every combination of several values that has no result yet.

    Common beginnings are trained once. Ctrl-C stops; the same command goes on.

    cplab sweep --deficit blur --onset 0 2 4 --length 0 4 8 --seed 0 1 2
    """
    values, measures = typed_fields(grid), read_measures(measure)
    points = product(*values.values())
    wanted = [runs.Run(**dict(zip(values, point, strict=True))) for point in points]
    if controls:
        wanted += [control for run in wanted for control in (run.equal_training(), run.newborn())]
    wanted = list(dict.fromkeys(wanted))
    cached = {run for run in wanted if results.find(run, measures)}
    processes = None if workers is None else whole("workers", workers, 1)
    all_results = results.sweep(wanted, measures, device=device, workers=processes)
    if json:
        print(*(as_json(result, result.spec in cached) for result in all_results), sep="\n")
    else:
        print_means(all_results, values)


def print_means(all_results: list, names: Iterable[str]) -> None:
    """Print mean accuracies over seeds, a line for each point. names: fields that have a column."""
    import pandas as pd

    columns = [f.name for f in fields(runs.Run) if f.name != "seed"]
    rows = pd.DataFrame([{name: getattr(r.spec, name) for name in columns} for r in all_results])
    shown = [name for name in columns if name in names or len({*rows[name]}) > 1] or columns[:1]
    rows["accuracy"] = [result.accuracy for result in all_results]
    means = rows.groupby(shown, sort=False, dropna=False)["accuracy"].agg(["count", "mean", "std"])
    print(means.reset_index().to_string(index=False, float_format="{:.4f}".format, na_rep="-"))


def as_json(result: Any, cached: bool) -> str:
    """Write a result as one line of JSON; cached: whether it was looked up."""
    return json.dumps({"cached": cached, **result.plain(), "source": result.source})


def numbers_of(result: Any) -> str:
    """Write the numbers among a result's values: `accuracy 0.5712`."""
    numbers = {k: v for k, v in result.values.items() if isinstance(v, int | float)}
    return ", ".join(f"{name} {value:.4f}" for name, value in numbers.items())


# Results ------------------------------------------------------------------------------------------


def list_results(filters: Filters) -> None:
    """List what was trained, shipped and live.

    cplab results list --profile course --deficit blur
    """
    wanted = typed_fields(filters)
    rows = results.table(**wanted)
    constant = {f.name for f in fields(runs.Run) if len({*map(str, rows[f.name])}) < 2}
    names = [f.name for f in fields(runs.Run) if f.name not in constant - {*wanted}]
    rows = rows[["key", *names, "accuracy", "source"]]
    print("no results" if rows.empty else rows.to_string(index=False))


def export_results(
    file: Annotated[Positional[str], arg(metavar="FILE", help="A .csv file.")],
    filters: Filters,
) -> None:
    """Write a table of the runs: fields, accuracy, how each was trained.

    cplab results export blur.csv --deficit blur
    """
    rows = results.table(**typed_fields(filters))
    try:
        rows.to_csv(file, index=False)
    except OSError as error:
        raise CplabError(f"{file} cannot be written ({error}): name another file") from error
    print(f"{len(rows)} results in {file}")


def verify_results() -> int:
    """Check every result. Exit code 1 if one is damaged.

    cplab results verify
    """
    good, bad = results.verify()
    counts = f"{good['shipped']} shipped and {good['live']} live results are good"
    print(*bad, counts, f"{len(bad)} bad", sep="\n")
    return 1 if bad else 0


def retrain_results(
    keys: Annotated[Positional[tuple[str, ...]], arg(metavar="KEY", help="Keys of results.")],
    device: DeviceOption = "auto",
) -> int:
    """Train the results with these keys again and compare; nothing is kept.

    `equal`: every number is, bit by bit; `near`: it was another machine, and the difference is
    small; `off`: neither. Exit code 1 if one is off.

    cplab results retrain 10da86ce08101b40
    """
    require(keys, "no KEY is given: `cplab results list` shows keys")
    code = 0
    for result in [results.by_key(key) for key in keys]:
        outcome, again = results.retrain(result, device)
        numbers = f"{numbers_of(result)} | {numbers_of(again)}"
        print(f"{outcome:<5} {numbers}  {result.spec.call()}", flush=True)
        code = 1 if outcome == "off" else code
    return code


def ship_results(
    name: Annotated[Positional[str], arg(metavar="NAME", help="A shipped table: course.")],
    filters: Filters,
) -> None:
    """Add live results to those that ship with the package; for maintainers.

    cplab results ship course --profile course --dataset cifar10
    """
    keys = {*results.table(**typed_fields(filters))["key"]}
    live = [result for result in results.every_result("Run", "live") if result.key in keys]
    print(results.ship(live, name))


def merge_results(
    paths: Annotated[Positional[tuple[str, ...]], arg(metavar="PATH", help="Files, or folders.")],
) -> int:
    """Copy results that were trained elsewhere; those that are here already stay.

    Exit code 2 if one is damaged or outdated; the others are copied.

    cplab results merge carried
    """
    require(paths, "no PATH is given: name files of results, or folders of them")
    new, old, refused = results.merge(paths)
    for line in refused:
        log_line("refused", line)
    print(f"{new} results taken in, {old} were there already, {len(refused)} refused")
    return 2 if refused else 0


# Images, labs, pages ------------------------------------------------------------------------------


def list_data() -> None:
    """List the data sets that are on this machine, and where.

    cplab data list
    """
    from cplab import data

    for name in runs.DATASETS:
        absent = "made on the spot" if name == "practice" else f"absent: cplab data fetch {name}"
        place = data.location(name)
        broken = " (cannot be read)" if place and not data.is_here(name) else ""
        print(f"{name:<14} {place or absent}{broken}")


def fetch_data(
    dataset: Annotated[Positional[str], arg(metavar="DATASET", help="Such as cifar10.")],
) -> None:
    """Download a set of images into the cache.

    cplab data fetch cifar10
    """
    from cplab import data

    print(data.fetch(dataset))


def write_site(folder: Folder, lab: Lab = "") -> None:
    """Write the labs as pages that need no Python and no network.

    cplab site pages
    """
    from cplab.teach.site import build_site

    pages = build_site(Path(folder), lab)
    print(f"{len(pages)} pages: open {Path(folder) / 'index.html'}")


def build_copies(
    folder: Folder,
    student: Annotated[bool, arg(help="Without solutions.", **HIDE)] = False,
    instructor: Annotated[bool, arg(help="With solutions as tagged cells.", **HIDE)] = False,
) -> None:
    """Write the labs without solutions, or with each as a cell that graders read.

    cplab teach build homework --student
    """
    require(student != instructor, "give one of --student and --instructor")
    new, old = teach.build_all(Path(folder), solutions=instructor)
    print(f"{new} files written to {folder}, {old} were there already")


def open_lab(
    lab: Lab = "",
    copy: Annotated[bool, arg(help="Only copy the labs to ./cplab-labs.", **HIDE)] = False,
) -> None:
    """Open JupyterLab on a lab, the first one if none is named.

    In a clone of the repository these are its own; elsewhere they are copied to ./cplab-labs first,
    and a file that is there already stays as it is.

    cplab lab 02
    """
    home = teach.CLONE if teach.CLONE.is_dir() and not copy else Path("cplab-labs").absolute()
    [first, *_] = teach.labs(lab)
    ready = copy or find_spec("jupyterlab")
    require(ready, "JupyterLab is not installed: pip install 'cplab[lab]'")
    if home != teach.CLONE:
        new, old = teach.copy_labs(home)
        print(f"{new} files copied to {home}, {old} were there already")
    if copy:
        return
    start = f"--LabApp.default_url=/lab/tree/{home.name}/{first.name}"
    words = [sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", start]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        words.append("--allow-root")  # as in the Makefile: a container's user is mostly root
    for variable in ("CPLAB_CACHE", "CPLAB_DATA"):  # which may be relative to this folder
        if folder := named_folder(variable):
            os.environ[variable] = str(folder.absolute())
    os.chdir(home.parent)
    sys.stdout.flush()
    if os.name == "nt":  # where execv does not quote a path with spaces
        sys.exit(subprocess.call(words))
    os.execv(words[0], words)


# The command --------------------------------------------------------------------------------------

COMMANDS: dict[str, Callable] = {
    "run": train_run,
    "sweep": train_sweep,
    "lab": open_lab,
    "site": write_site,
    "results list": list_results,
    "results export": export_results,
    "results verify": verify_results,
    "results retrain": retrain_results,
    "results ship": ship_results,
    "results merge": merge_results,
    "data list": list_data,
    "data fetch": fetch_data,
    "teach build": build_copies,
}


def parse_words(words: Sequence[str]) -> Callable[[], int | None]:
    """Parse the words after `cplab` into a function without arguments that carries them out.

    Raises: CplabError; SystemExit where help was printed.
    """
    words, prog, commands = list(words), "cplab", COMMANDS
    prefix = f"{next(iter(words), '')} "
    subcommands = {n.removeprefix(prefix): c for n, c in COMMANDS.items() if n.startswith(prefix)}
    if subcommands:
        commands, prog = subcommands, f"cplab {words.pop(0)}"
    # a command is called only once its arguments have been read
    later: dict[str, Callable] = {
        name: wraps(command)(lambda *args, do=command, **options: partial(do, *args, **options))
        for name, command in commands.items()
    }
    errors = io.StringIO()
    try:
        with redirect_stderr(errors):
            return tyro.extras.subcommand_cli_from_dict(
                later, prog=prog, args=words or ["--help"], config=(tyro.conf.FlagCreatePairsOff,)
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        # the text in tyro's box, without the title
        parts = re.split("[─-]{5,}", re.sub("[│╭╮╰╯]", " ", errors.getvalue()))[1:]
        lines = (" ".join(part.split()).strip(" :.") for part in parts)
        raise CplabError(": ".join(filter(None, lines))) from None


def main(args: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. An error is one line on standard error."""
    words = sys.argv[1:] if args is None else list(args)
    if words == ["--version"]:
        print(f"cplab {__version__}")
        return 0
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_: log_line("warning", message)
        try:
            command = parse_words(words)
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
