"""The command line. Every option that describes a run is passed as it was typed to `Run`, which
alone judges it, so that Python and the command line refuse the same values in the same words.

Exit codes: 0; 1, a record is bad or training failed; 2, bad input; 130, interrupted.
"""

import json
import math
import os
import re
import sys
import warnings
from itertools import product
from pathlib import Path
from typing import Annotated

import typer

from cplab import __version__, experiment, records, studies
from cplab.experiment import CplabError, Run, one_of, whole

app = typer.Typer(add_completion=False, rich_markup_mode=None)
data_app = typer.Typer(help="Sets of images: say what is at hand, fetch the others.")
campaign_app = typer.Typer(help="All runs behind the paper's figures, piece by piece.")
records_app = typer.Typer(help="What was trained: list, export, check and ship it.")
app.add_typer(data_app, name="data")
app.add_typer(records_app, name="records")
app.add_typer(campaign_app, name="campaign")

UsageError = typer.BadParameter.__base__  # of click, which newer versions of Typer bring themselves


def option(kind, text: str, *names: str, **more):
    """A type that makes a parameter an option with this help."""
    return Annotated[kind, typer.Option(*names, help=text, show_default=False, **more)]


def texts(text: str, metavar: str) -> tuple:
    """An option that takes one value, and the same that takes several."""
    one = option(str | None, text, metavar=metavar)
    return one, option(list[str] | None, text, metavar=f"{metavar}...")


def listed(names) -> str:
    return ", ".join(names)


Deficit, Deficits = texts(f"{listed(experiment.DEFICITS)}; also blur-2, blur-8. [none]", "NAME")
Onset, Onsets = texts("Clear epochs before the deficit. [0]", "N")
Length, Lengths = texts("Epochs that carry the deficit. [0]", "N")
Recovery, Recoveries = texts("Clear epochs after the deficit. [the profile's]", "N")
Schedule, Schedules = texts(f"Rates: {listed(experiment.SCHEDULES)}. [the profile's]", "NAME")
Seed, Seeds = texts("Decides weights, order, crops, flips, noise. [0]", "N")
Optimizer, Optimizers = texts(f"{listed(experiment.OPTIMIZERS)}. [sgd]", "NAME")
Momentum, Momenta = texts("Of sgd. [0.9]", "X")
Arithmetic, Arithmetics = texts(
    f"{listed(experiment.ARITHMETICS)}; native has bfloat16 where the machine does. [native]",
    "NAME",
)
Trace = option(
    str | None, "Measure the Fisher information: every (epoch), or 0,4,9. [none]", metavar="EPOCHS"
)
Profile = option(str | None, f"Size: {listed(experiment.PROFILES)}. [course]", metavar="NAME")
Dataset = option(str | None, f"{listed(experiment.DATASETS)}. [the profile's]", metavar="NAME")
Model = option(
    str | None, f"{listed(experiment.MODELS)}; allcnn-96 for a width. [the profile's]",
    metavar="NAME",
)  # fmt: skip
Workers = option(str | None, "Processes. [one a core; one on a GPU]", metavar="N")
Device = option(str, f"{listed(experiment.DEVICES)}. [auto]", metavar="NAME")
Json = option(bool, "Print JSON.", "--json")
Exhibits = option(list[str] | None, "Only this exhibit; may be given again.", "--exhibit",
                  metavar="NAME")  # fmt: skip
Paper = option(str, f"Size: {listed(experiment.PROFILES)}. [paper]", metavar="NAME")
OfProfile = option(str | None, "Only records of this profile.", metavar="NAME")
OfDataset = option(str | None, "Only records of this set of images.", metavar="NAME")
OfDeficit = option(str | None, "Only records of this deficit.", metavar="NAME")


def main(args: list[str] | None = None) -> int:
    """Run a command and return its exit code. An error is one line on standard error."""
    args = spread(sys.argv[1:] if args is None else args)
    if args in ([], ["data"], ["records"], ["campaign"]):
        args = [*args, "--help"]
    with warnings.catch_warnings():
        warnings.simplefilter("default", records.RecordWarning)
        warnings.showwarning = lambda message, *_: say("warning", message)
        try:
            code = typer.main.get_command(app).main(args, "cplab", standalone_mode=False) or 0
        except (KeyboardInterrupt, typer.Abort):
            code = 130
        except UsageError as error:
            command = error.ctx.command_path if error.ctx else "cplab"
            say("error", f"{error.format_message().rstrip('.')}: see {command} --help")
            return 2
        except CplabError as error:
            say("error", error)
            return error.exit_code
    if code == 130:
        say("stopped", "the same command goes on from here")
    return code


def say(what: str, text: object) -> None:
    """One line on standard error, above a progress bar that may be there."""
    from tqdm import tqdm

    tqdm.write(f"{what}: {' '.join(str(text).split())}", file=sys.stderr)


ONE = ("profile", "dataset", "model", "trace")  # the fields of which a sweep takes one value


def spread(args: list[str]) -> list[str]:
    """`sweep --onset 0 2 4` as `sweep --onset 0 --onset 2 --onset 4`, which Typer takes."""
    if args[:1] != ["sweep"]:
        return args
    several = {f"--{name}" for name in records.RUN_FIELDS if name not in ONE}
    result, name, first = [], None, False
    for arg in args:
        if arg.startswith("--"):
            name, first = (arg if arg in several else None), True
        elif name:
            result += [] if first else [name]
            first = False
        result.append(arg)
    return result


def given(options: dict) -> dict:
    """The fields of a run that were typed; Run knows what holds for the others."""
    names = records.RUN_FIELDS
    return {name: options[name] for name in names if options.get(name) not in (None, [])}


def show_version(wanted: bool) -> None:
    if wanted:
        print(f"cplab {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: option(bool, "Print the version.", "--version", callback=show_version) = False,
) -> None:
    """Critical learning periods in deep networks: train, look up, export."""


# Training ---------------------------------------------------------------------------------------


@app.command()
def run(
    deficit: Deficit = None,
    onset: Onset = None,
    length: Length = None,
    recovery: Recovery = None,
    profile: Profile = None,
    schedule: Schedule = None,
    dataset: Dataset = None,
    model: Model = None,
    seed: Seed = None,
    optimizer: Optimizer = None,
    trace: Trace = None,
    momentum: Momentum = None,
    arithmetic: Arithmetic = None,
    fresh: option(bool, "Train it even if there is a record.", "--fresh") = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Look up one run, or train it and keep its record.

    cplab run --deficit blur --length 8 --recovery 15 --seed 0 --json
    """
    wanted = Run(**given(locals()))
    from tqdm import tqdm

    # the delay keeps the bar away from a look-up, which has no epochs
    with tqdm(total=wanted.epochs, unit="epoch", file=sys.stderr, delay=0.01) as bar:
        record = records.run(wanted, fresh=fresh, device=device, report=lambda *_: bar.update())
    cached = not bar.n
    if as_json:
        print(as_text(record, cached))
        return
    origin = f"{record.source} record" if cached else f"trained in {record.seconds:.1f} s, record"
    print(wanted.canonical)
    print(f"accuracy {record.accuracy:.4f} after {wanted.epochs} epochs ({origin} {record.key})")
    if record.final:
        print(traced(record))
    print(wanted.call())


def traced(record: records.Record) -> str:
    """The last trace of a record, and what all that was measured cost."""
    rows = [row for row in record.curve if "trace" in row]
    cost = sum(row["trace_seconds"] for row in rows) + record.final["seconds"]
    last = "no trace on the way"
    if rows:
        last = f"trace {sum(rows[-1]['trace']):.4g} after epoch {rows[-1]['epoch']}"
    return f"{last} (measured in {cost:.1f} s, beside {record.seconds:.1f} s of training)"


@app.command()
def sweep(
    deficit: Deficits = None,
    onset: Onsets = None,
    length: Lengths = None,
    recovery: Recoveries = None,
    schedule: Schedules = None,
    seed: Seeds = None,
    profile: Profile = None,
    dataset: Dataset = None,
    model: Model = None,
    optimizer: Optimizers = None,
    trace: Trace = None,
    momentum: Momenta = None,
    arithmetic: Arithmetics = None,
    controls: option(bool, "Also equal training and the newborn.", "--controls") = False,
    workers: Workers = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train every combination of several values that has no record yet.

    Common beginnings are trained once. Ctrl-C stops; the same command goes on.

    cplab sweep --deficit blur --onset 0 2 4 --length 0 4 8 --seed 0 1 2
    """
    values = {k: v if isinstance(v, list) else [v] for k, v in given(locals()).items()}
    runs = [Run(**dict(zip(values, point, strict=True))) for point in product(*values.values())]
    if controls:
        runs += [control for r in runs for control in (r.equal_training(), r.newborn())]
    runs = list(dict.fromkeys(runs))
    cached = {r for r in runs if records.find(r)}
    found = records.sweep(runs, device=device, workers=workers)
    if as_json:
        print(*(as_text(record, record.run in cached) for record in found), sep="\n")
        return
    import pandas as pd

    rows = [{n: getattr(r.run, n) for n in records.RUN_FIELDS} for r in found]
    names = ["deficit", "onset", "length", "recovery", "schedule"]
    several = ("optimizer", "momentum", "arithmetic")
    names += [name for name in several if len({row[name] for row in rows}) > 1]
    points = pd.DataFrame(rows).assign(accuracy=[r.accuracy for r in found])
    points = points.groupby(names, sort=False)
    rows = points["accuracy"].agg(["count", "mean", "std"]).reset_index()
    print(rows.to_string(index=False, float_format="{:.4f}".format, na_rep="-"))


def as_text(record: records.Record, cached: bool) -> str:
    """A record as one JSON object."""
    return json.dumps({"cached": cached, **record.plain(), "source": record.source})


@app.command()
def bench(device: Device = "auto", as_json: Json = False) -> None:
    """Measure how fast this machine trains and looks up, as ratios; takes minutes.

    cplab bench --json
    """
    from cplab.bench import measure, table

    result = measure(device)
    print(json.dumps(result) if as_json else table(result))


@app.command()
def lab(name: Annotated[str, typer.Argument(help="A lab, or how its name begins.")] = "") -> None:
    """Open JupyterLab on a lab, the first one if none is named.

    cplab lab 02
    """
    root = Path(__file__).parent.parent
    labs = sorted(path.name for path in (root / "labs").glob("*.ipynb"))
    if not labs:
        raise CplabError(
            f"there are no labs in {root / 'labs'}: clone the repository, they come with it, "
            "and call `cplab lab` from an environment in which that clone is installed"
        )
    fitting = [file for file in labs if file.startswith(name)]
    if not fitting:
        raise CplabError(f"unknown lab {name!r}: choose one of {listed(labs)}")
    start = f"--LabApp.default_url=/lab/tree/labs/{fitting[0]}"
    command = [sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", start]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # as in the Makefile: a container's user is mostly root
    os.chdir(root)
    os.execv(command[0], command)


@data_app.command("list")
def data_list() -> None:
    """Say which sets are at hand, and where.

    cplab data list
    """
    from cplab import data

    for name in experiment.DATASETS:
        absent = "made on the spot" if name == "practice" else f"absent: cplab data fetch {name}"
        print(f"{name:<14} {data.where(name) or absent}")


@data_app.command("fetch")
def data_fetch(name: Annotated[str, typer.Argument(help="The set, such as cifar10.")]) -> None:
    """Download a set of images into the cache.

    cplab data fetch cifar10
    """
    from cplab import data

    print(data.fetch(name))


@app.command()
def reproduction(
    out: option(Path, "The file. [REPRODUCTION.md]", metavar="FILE.md") = Path("REPRODUCTION.md"),
) -> None:
    """Write what the sources claim and what the shipped records say to it; for maintainers.

    cplab reproduction --out REPRODUCTION.md
    """
    from cplab.reproduction import write

    print(write(out))


# Images and records -----------------------------------------------------------------------------


@records_app.command("list")
def records_list(
    profile: OfProfile = None, dataset: OfDataset = None, deficit: OfDeficit = None
) -> None:
    """List the records that are there, shipped and live.

    cplab records list --profile course --deficit blur
    """
    rows = records.table(**given(locals()))[["key", *records.RUN_FIELDS, "accuracy", "source"]]
    usual = [name for name, value in experiment.LATER.items() if (rows[name] == value).all()]
    rows = rows.drop(columns=usual)
    print("no records" if rows.empty else rows.to_string(index=False))


@records_app.command("export")
def records_export(
    file: Annotated[Path, typer.Argument(help="FILE.csv or FILE.parquet")],
    profile: OfProfile = None,
    dataset: OfDataset = None,
    deficit: OfDeficit = None,
) -> None:
    """Write a table of the records: the run, its accuracy, how it was trained.

    cplab records export blur.csv --deficit blur
    """
    one_of("kind of file", file.suffix, (".csv", ".parquet"))
    rows = records.table(**given(locals()))
    try:
        rows.to_csv(file, index=False) if file.suffix == ".csv" else rows.to_parquet(file)
    except OSError as error:
        raise CplabError(f"{file} cannot be written ({error}): name another file") from error
    print(f"{len(rows)} records in {file}")


@records_app.command("verify")
def records_verify(
    retrain: option(str, "Train so many shipped records again.", metavar="N") = "0",
    seed: option(str, "Decides which ones. [0]", metavar="N") = "0",
    profile: OfProfile = None,
    device: Device = "auto",
) -> int:
    """Read every record and study again (checksum, key, curve), and train some again.

    Exit code 1 if one is damaged or comes out otherwise than it says.

    cplab records verify --retrain 2 --profile ci
    """
    count, seed = whole("retrain", retrain), whole("seed", seed)
    bad = []
    for what, check in (("records", records.verify), ("studies", studies.verify)):
        good, found = check()
        bad += found
        if what == "records" or found or any(good.values()):
            said = f"{good['shipped']} shipped and {good['live']} live {what} are good"
            print(*found, said, sep="\n")
    for record in records.sample(count, seed, profile) if count else []:
        outcome, again = records.retrain(record, device)
        print(f"{outcome:<5} {record.accuracy:.4f} {again.accuracy:.4f} {record.run.call()}")
        bad += [outcome] if outcome == "off" else []
    print(f"{len(bad)} bad")
    return 1 if bad else 0


@records_app.command("ship")
def records_ship(
    name: Annotated[str, typer.Argument(help="The file is cplab/shipped/NAME.parquet")],
    profile: OfProfile = None,
    dataset: OfDataset = None,
) -> None:
    """Add live records to those that ship with the package; for maintainers.

    cplab records ship course --profile course --dataset cifar10
    """
    if not re.fullmatch(r"[\w-]+", name):
        raise CplabError(f"name {name!r} is not allowed: give a plain name, such as course")
    rows = records.table(**given(locals()))
    keys = {*rows.loc[rows["source"] == "live", "key"]}
    print(records.ship((record for record in records.live() if record.key in keys), name))


# The campaign -----------------------------------------------------------------------------------


@campaign_app.command("list")
def campaign_list(profile: Paper = "paper", exhibit: Exhibits = None) -> None:
    """List the exhibits in order of value; of those that are named, the runs of each seed.

    cplab campaign list --exhibit figure1-removal
    """
    from cplab import campaign, studies, tree

    found = list(campaign.groups(profile, exhibit))
    if not exhibit:
        print(f"{'exhibit':<23}{'runs':>5}{'epochs':>8}   of each of {campaign.SEEDS} seeds")
    for one, seed, some in found:
        runs = [each for each in some if isinstance(each, Run)]
        if exhibit:
            said = [each.call() if each in runs else studies.canonical(each) for each in some]
            print(*said, sep="\n")
        elif seed == 0:
            epochs = sum(root.epochs for root in tree.plan(runs)) or "-"
            print(f"{one.name:<23}{len(some):>5}{epochs:>8}   {one.words}")


@campaign_app.command("next")
def campaign_next(
    budget: option(str, "Seconds, saving included.", metavar="SECONDS"),
    out: option(
        Path, "Where the call before left its work, and this one leaves it.", metavar="DIR"
    ),
    profile: Paper = "paper",
    exhibit: Exhibits = None,
    part: option(str, "Do this share of the runs, from 0. [0]", metavar="N") = "0",
    parts: option(str, "Shares, of which each process or card does one. [1]", metavar="N") = "1",
    device: Device = "auto",
) -> None:
    """Train what comes next, as much as fits in a time, and leave what another call goes on from.

    DIR is a few files of at most 16 MiB: records, and checkpoints of what is unfinished. It can be
    carried to another machine.

    cplab campaign next --budget 540 --out carried
    """
    from cplab import campaign

    how = {"profile": profile, "exhibits": exhibit, "part": part, "parts": parts}
    campaign.work(budget, out, **how, device=device)


@campaign_app.command("status")
def campaign_status(
    profile: Paper = "paper",
    exhibit: Exhibits = None,
    out: option(Path | None, "Take this in first, as next does.", metavar="DIR") = None,
    device: Device = "auto",
) -> None:
    """Say of each exhibit what is done, begun and missing, and the time left.

    cplab campaign status
    """
    from cplab import campaign, carry

    if out:
        with carry.directory(out):
            carry.take_in(out)
    rows, total = campaign.status(profile, exhibit, device), 0.0
    print(f"{'exhibit':<23}{'done':>6}{'begun':>6}{'missing':>8}  time left")
    for row in rows:
        total += 0 if math.isnan(row.seconds) else row.seconds
        counts = f"{row.done:>6}{row.begun:>6}{row.missing:>8}"
        print(f"{row.exhibit.name:<23}{counts}  {campaign.duration(row.seconds)}", flush=True)
    print(f"{campaign.duration(total)} in all, where it is known")


@campaign_app.command("merge")
def campaign_merge(
    paths: Annotated[list[Path], typer.Argument(help="Files of records, or directories of them.")],
) -> int:
    """Take in records that were trained elsewhere; what is there already stays.

    Exit code 2 if one is damaged or of another protocol version; the others are taken in.

    cplab campaign merge carried
    """
    from cplab import carry

    new, old, refused = carry.merge(paths)
    for line in refused:
        say("refused", line)
    print(f"{new} records taken in, {old} were there already, {len(refused)} refused")
    return 2 if refused else 0
