"""How fast this machine trains and looks up, against plain ways of doing the same: ratios, measured
in one process, in about five minutes. A benchmark is no test: it judges nothing."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator

import torch

from benchmarks import eyes, traces, training
from benchmarks.timing import ROUNDS, Row, fresh, row, seconds
from cplab import data, devices
from cplab.errors import CplabError

# For a fresh interpreter: prints the seconds of training, of a first look-up and of later ones.
LOOK = """
import cplab, statistics, timeit
found = []
def look():
    found.append(cplab.run(profile="ci", onset=1))
first = timeit.timeit(look, number=1)
again = statistics.median(timeit.repeat(look, number=1, repeat=50))
print(found[0].seconds, first, again)
"""


def lookups() -> Iterator[Row]:
    """A result that is there, asked for in a fresh Python and once more."""
    fresh(LOOK)  # trains and keeps the result
    times = [[float(t) for t in fresh(LOOK).split()] for _ in range(ROUNDS)]
    for column, name, what in ((1, "first", "in a fresh Python"), (2, "again", "once more")):
        pairs = [(each[column], each[0]) for each in times]
        yield row(f"lookup_{name}", "ms", pairs, "value < 50", f"{what} / training that run", 1000)


def importing() -> Row:
    pairs = [
        (seconds(lambda: fresh("import cplab")), seconds(lambda: fresh("pass")))
        for _ in range(1 + ROUNDS)
    ]
    what = "a fresh Python that imports cplab / one that imports nothing"
    return row("import", "s", pairs[1:], "value < 0.3", what)


def measure(device: str = "auto") -> dict:
    """Everything that is measured here.

    Returns: device, cores, dataset and results, rows as of timing.Row.
    Raises: CplabError if a Fisher trace is not what another way to it gives.
    """
    where = devices.pick(device)
    dataset = "cifar10" if data.is_here("cifar10") else "practice"
    if place := data.location(dataset):
        os.environ["CPLAB_DATA"] = str(place.parent)
    with tempfile.TemporaryDirectory(prefix="cplab-benchmarks-") as folder:
        os.environ["CPLAB_CACHE"] = folder  # an empty one, for this process and what it starts
        rows = [*training.rows(where, dataset), *traces.rows(where, dataset), *lookups()]
        rows += [importing(), *eyes.rows()]
    about = {"device": devices.machine(where), "cores": devices.usable_cores(), "dataset": dataset}
    return {**about, "torch": str(torch.__version__), "results": [r._asdict() for r in rows]}


def table(measured: dict) -> str:
    """What `measure` returned, to read."""
    lines = ["{device}, {cores} cores, {dataset}, torch {torch}".format(**measured)]
    lines.append(f"{'':<18}{'value':>9}{'baseline':>10}{'':10}{'ratio':>8}  aim")
    for r in measured["results"]:
        baseline = "-" if r["baseline"] is None else f"{r['baseline']:.4g}"
        ratio = "-" if r["ratio"] is None else f"{r['ratio']:.3g}"
        numbers = f"{r['value']:9.4g}{baseline:>10} {r['unit']:<9}{ratio:>8}"
        lines += [f"{r['name']:<18}{numbers}  {r['aim']}", f"    {r['what']}"]
    return "\n".join(lines)


def main(args: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu [auto]")
    given = parser.parse_args(args)
    try:
        measured = measure(given.device)
    except CplabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(measured, indent=1) if given.json else table(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
