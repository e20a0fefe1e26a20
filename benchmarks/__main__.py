"""Speed of training, look-ups and the explorer on this machine, against plain ways of doing the
same: ratios of pairs that are measured in turn in one process, so that other work slows both.
Nothing is judged.

    python -m benchmarks [NAME ...] [--device cpu] [--json]
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator

import torch

from benchmarks.opening import opening
from benchmarks.showing import explorer, lookup
from benchmarks.timing import Row
from benchmarks.traces import trace
from benchmarks.training import card, engine, stack
from benchmarks.workers import press, sweep
from cplab.base import devices
from cplab.engine import workers
from cplab.pictures import datasets

BENCHMARKS: dict[str, Callable[[torch.device, str], Iterator[Row]]] = {
    "engine": engine,
    "stack": stack,
    "sweep": sweep,
    "press": press,
    "trace": trace,
    "lookup": lookup,
    "explorer": explorer,
    "opening": opening,
    "card": card,
}


def main() -> int:
    """Measure the benchmarks of these names, or all, and print their rows as they come."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = f"of {', '.join(BENCHMARKS)} [all]"
    parser.add_argument("names", nargs="*", metavar="NAME", help=names)
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu [auto]")
    options = parser.parse_args()
    device = devices.pick(options.device)
    dataset = "cifar10" if datasets.is_here("cifar10") else "practice"
    if place := datasets.location(dataset):
        os.environ["CPLAB_DATA"] = str(place.parent)
    machine = f"{devices.machine(device)}, {workers.usable_cores()} cores"
    print(f"{machine}, {dataset}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory(prefix="cplab-benchmarks-") as folder:
        os.environ["CPLAB_CACHE"] = folder  # an empty one, for this process and what it starts
        for name in options.names or BENCHMARKS:
            for row in BENCHMARKS[name](device, dataset):
                print_row(row, options.json)
    return 0


def print_row(row: Row, as_json: bool) -> None:
    """Print a row, as JSON or in columns."""
    if as_json:
        line = json.dumps(row._asdict())
    else:
        numbers = f"{row.value:9.4g}{row.baseline:10.4g} {row.unit:<9}{row.ratio:8.3g}"
        line = f"{row.name:<16}{numbers}  {row.comparison}"
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
